/** Turns prompts of token ids into text, as wllama takes nothing else. */
import { invalid } from '../../errors.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { textOfTokens } from '../../tokenizer/undecoded.ts';
import type { Prompt } from './prompts.ts';

/** Ids shown in an error: enough to find the place. */
const SHOWN_IDS = 8;

/**
 * The text that llama.cpp tokenizes to exactly the tokens of `prompt`.
 * @throws LlamatabError 400 if there is none.
 */
export async function promptText(prompt: Prompt, tokenizer: () => Promise<Tokenizer>, field: string): Promise<string> {
  if (typeof prompt === 'string') return prompt;
  if (prompt.length === 0) return '';
  const known = await tokenizer();
  // As in llama-server, special tokens are added only if a text comes first.
  const tokens = prompt.flatMap((part, index) =>
    typeof part === 'string' ? encodeFirst(known, part, index === 0) : [part],
  );
  const text = textOfTokens(known, tokens, true);
  if (text !== null) return text;
  throw invalid(field, unspeakable(tokens, known));
}

/** Adds BOS if the model wants it, but not EOS, as more may follow. */
function encodeFirst(tokenizer: Tokenizer, text: string, first: boolean): number[] {
  return [...(first ? tokenizer.added.before : []), ...tokenizer.encode(text)];
}

function unspeakable(tokens: number[], { added, decode }: Tokenizer): string {
  const shown = `[${tokens.slice(0, SHOWN_IDS).join(', ')}${tokens.length > SHOWN_IDS ? ', …' : ''}]`;
  const reason = added.before.every((token, index) => tokens[index] === token)
    ? 'no text is tokenized to just these ids (perhaps a word or a character is cut where the tokenizer would not cut it)'
    : `this model's prompts begin with ${added.before.join(', ')} (${decode(added.before)}), and this does not`;
  return `The engine takes prompts as text, and the prompt ${shown} can't be given to it so: ${reason}. Send the text instead.`;
}
