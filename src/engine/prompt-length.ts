/** The length of a prompt, before it waits for a slot. */
import { LlamatabError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { CompletionRequest, Json, LoadedModelInfo } from './engine.ts';

/** llama.cpp makes room for a multiple of this. */
const CONTEXT_GRANULE = 256;
/** UTF-16 units. Longer prompts hold up the others for longer than it takes to get a slot: the engine counts them. */
const MAX_COUNTED = 2 ** 20;
/** Of UTF-8, for a UTF-16 unit. A token is a byte at least. */
const MAX_BYTES = 3;

/** Tokens that two texts may have less when they are joined, at each end of each. */
const JOINED = 2;

/**
 * Gives a prompt that is too long llama.cpp's own answer. How a chat is written the engine alone knows, which has its template: of a
 * chat, only the texts that every template shows are counted, so that one that is a little too long is left to it.
 * @param tokenizer Called only for a prompt that may be too long.
 * @throws LlamatabError `exceed_context_size_error`.
 */
export async function refuseTooLong(
  { kind, body }: Pick<CompletionRequest, 'kind' | 'body'>,
  { plan, nCtxTrain }: Pick<LoadedModelInfo, 'plan' | 'nCtxTrain'>,
  tokenizer: () => Promise<Tokenizer>,
): Promise<void> {
  const context = Math.min(nCtxTrain, Math.ceil(plan.contextSize / CONTEXT_GRANULE) * CONTEXT_GRANULE);
  const given = kind === 'text' && isTokens(body.prompt) ? body.prompt.length : 0;
  if (given >= context) throw tooLong(`${given}`, given, context);
  const texts = textsOf(kind, body);
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length * MAX_BYTES < context || length > MAX_COUNTED) return;
  // Without one, the engine will say it in its time.
  const counting = await tokenizer().catch(() => null);
  if (counting === null) return;
  const isChat = kind === 'chat';
  const count = (text: string) => counting.encode(text, { addSpecial: !isChat }).length - (isChat ? 2 * JOINED : 0);
  const tokens = texts.reduce((sum, text) => sum + Math.max(0, count(text)), 0);
  if (tokens >= context) throw tooLong(isChat ? `at least ${tokens}` : `${tokens}`, tokens, context);
}

const isTokens = (prompt: unknown): prompt is number[] =>
  Array.isArray(prompt) && prompt.every((part) => typeof part === 'number');

function tooLong(count: string, n_prompt_tokens: number, n_ctx: number): LlamatabError {
  return new LlamatabError(
    'exceed_context_size_error',
    `request (${count} tokens) exceeds the available context size (${n_ctx} tokens), try increasing it`,
    { n_prompt_tokens, n_ctx },
  );
}

function textsOf(kind: CompletionRequest['kind'], { messages, prompt }: Json): string[] {
  if (kind === 'chat') return shownTexts(messages);
  return kind === 'text' && typeof prompt === 'string' ? [prompt] : [];
}

/** What templates leave out is what an assistant thought. They trim the rest. */
function shownTexts(messages: unknown): string[] {
  return ((messages ?? []) as Json[]).flatMap(({ role, content }) => {
    if (role === 'assistant') return [];
    const parts = Array.isArray(content) ? (content as Json[]).map(({ text }) => text) : [content];
    return parts.filter((text) => typeof text === 'string').map((text) => text.trim());
  });
}
