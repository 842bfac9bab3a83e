/** Puts a model's tokenizer together: special tokens, the algorithm of its kind, and the way from pieces back to text. */
import { LlamatabError } from '../errors.ts';
import { BYTE_CHARACTERS, makeBpe } from './bpe.ts';
import { makePartition } from './special-tokens.ts';
import { makeSpm } from './spm.ts';
import type { Tokenizer } from './tokenizer.ts';
import { makeUgm } from './ugm.ts';
import { BYTE, CONTROL, NORMAL, readVocabulary, UNKNOWN, USER_DEFINED, type Vocabulary } from './vocabulary.ts';
import { makeWpm } from './wpm.ts';

/**
 * The tokenizer of a model.
 *
 * @param file The GGUF, or its first shard; only its header is read.
 * @param name What to call the file in messages.
 * @throws LlamatabError `not_supported_error` for a kind of vocabulary that is not known, `server_error` for a damaged file.
 */
export async function readTokenizer(file: Blob, name: string): Promise<Tokenizer> {
  return makeTokenizer(await readVocabulary(file, name));
}

/** Unpaired surrogates: with the `u` flag, a pair is one character and does not match. */
const LONE_SURROGATE = /\p{Surrogate}/gu;

function wellFormed(text: string): string {
  return text.replace(LONE_SURROGATE, '\ufffd');
}

export function makeTokenizer(vocabulary: Vocabulary): Tokenizer {
  const partition = makePartition(vocabulary);
  const encodePart = makeEncoder(vocabulary);
  const size = vocabulary.texts.length;
  const { before, after } = addedTokens(vocabulary);
  const pieces: Uint8Array[] = [];

  const piece = (token: number): Uint8Array => {
    if (!Number.isInteger(token) || token < 0 || token >= size) throw outOfRange(token, size);
    const known = pieces[token] ?? pieceOf(vocabulary, token);
    pieces[token] = known;
    return known;
  };

  return {
    size,
    added: { before, after },
    infill: vocabulary.infill,
    parts: (text) => partition(wellFormed(text), true),
    encode(text, { addSpecial = false, parseSpecial = true } = {}) {
      const tokens = addSpecial ? [...before] : [];
      let first = true;
      for (const part of partition(wellFormed(text), parseSpecial)) {
        if (typeof part === 'number') tokens.push(part);
        else for (const token of encodePart(part, first)) tokens.push(token);
        first = typeof part === 'number';
      }
      if (addSpecial) tokens.push(...after);
      return tokens;
    },
    decode(tokens) {
      const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
      let text = '';
      for (const token of tokens) text += decoder.decode(piece(token), { stream: true });
      return text + decoder.decode();
    },
    piece,
  };
}

/** llama-server's answer (sic), where its vector's own check catches it. */
function outOfRange(token: number, size: number): LlamatabError {
  const asked = token < 0 ? 2n ** 64n + BigInt(Math.trunc(token)) : token;
  const message = `vector::_M_range_check: __n (which is ${asked}) >= this->size() (which is ${size})`;
  return new LlamatabError('server_error', message, { param: 'tokens' });
}

function makeEncoder(vocabulary: Vocabulary): (text: string, first: boolean) => number[] {
  switch (vocabulary.kind) {
    case 'llama':
      return makeSpm(vocabulary);
    case 'gpt2':
    case 'gemma4':
      return makeBpe(vocabulary);
    case 'bert':
      return makeWpm(vocabulary);
    case 't5':
      return makeUgm(vocabulary);
  }
}

/** The tokens that the model wants around a text. */
function addedTokens({ kind, addBos, addEos, bos, eos, separator }: Vocabulary): { before: number[]; after: number[] } {
  const only = (wanted: boolean, token: number | undefined) => (wanted && token !== undefined ? [token] : []);
  // BERT's are always added, whatever the file says.
  return kind === 'bert'
    ? { before: only(true, bos), after: only(true, separator) }
    : { before: only(addBos, bos), after: only(addEos, eos) };
}

const UTF8 = new TextEncoder();
const CHARACTER_BYTES = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

/** `token_to_piece`. */
function pieceOf({ kind, pre, texts, attributes }: Vocabulary, token: number): Uint8Array {
  const text = texts[token] ?? '';
  const attribute = attributes[token] ?? 0;
  if ((attribute & (UNKNOWN | CONTROL | USER_DEFINED)) !== 0) return UTF8.encode(text);
  if ((attribute & NORMAL) !== 0) {
    if (kind === 'gpt2' && pre.escapesSpaces !== true) return bytesOf(text);
    return UTF8.encode(text.replaceAll('▁', ' '));
  }
  if ((attribute & BYTE) !== 0) return Uint8Array.of(Number.parseInt(text.slice(3, 5), 16) & 0xff);
  return new Uint8Array();
}

/** The bytes that GPT-2's characters stand for; any other character is spelled out as llama.cpp does it. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(
    Array.from(text).flatMap((character) => {
      const byte = CHARACTER_BYTES.get(character);
      if (byte !== undefined) return [byte];
      const hex = Array.from(UTF8.encode(character), (value) => value.toString(16).padStart(2, '0')).join('');
      return [...UTF8.encode(`[UNK_BYTE_0x${hex}${text}]`)];
    }),
  );
}
