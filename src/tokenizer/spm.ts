/** SentencePiece's BPE, with scores in the place of ranks: `llm_tokenizer_spm_session`. */
import { LlamatabError } from '../errors.ts';
import { byteToken } from './bpe.ts';
import { mergeSymbols } from './merge.ts';
import type { Vocabulary } from './vocabulary.ts';

const UTF8 = new TextEncoder();

/**
 * @returns a function that encodes part of a text; its second argument says whether that part stands at the beginning or after
 *   a special token.
 */
export function makeSpm({ ids, scores, addSpacePrefix }: Vocabulary): (text: string, first: boolean) => number[] {
  const spelled = (symbol: string): number[] => Array.from(UTF8.encode(symbol), byteId);
  const byteId = (byte: number): number => {
    const id = ids.get(byteToken(byte)) ?? (byte < 0x80 ? ids.get(String.fromCharCode(byte)) : undefined);
    // llama.cpp throws as well.
    if (id === undefined) throw new LlamatabError('server_error', `The model has no token for the byte ${byte}.`);
    return id;
  };

  return (text, first) => {
    const escaped = `${addSpacePrefix && first ? ' ' : ''}${text}`.replaceAll(' ', '▁');
    const symbols = mergeSymbols(escaped, (start, _, end) => {
      const id = ids.get(escaped.slice(start, end));
      return id === undefined ? undefined : -(scores[id] ?? 0);
    });
    return symbols.flatMap((symbol) => ids.get(symbol) ?? spelled(symbol));
  };
}
