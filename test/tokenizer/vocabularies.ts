/** The vocabularies that tokenizers are tested with: the embedded models', and such as are made for a purpose. */
import { openAsBlob } from 'node:fs';
import { BYTE_CHARACTERS, byteToken } from '../../src/tokenizer/bpe.ts';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { path } from '../support/paths.ts';
import { type MetadataValue, writeGguf } from '../tiny-model/gguf-writer.ts';

/** An embedded model's GGUF. */
export async function embeddedModel(id: 'smollm2-135m-instruct' | 'all-minilm-l6-v2'): Promise<Blob> {
  const folder = path(`public/models/${id}`);
  const pieces =
    id === 'all-minilm-l6-v2'
      ? ['all-MiniLM-L6-v2-Q8_0.gguf']
      : [1, 2, 3, 4].map((part) => `SmolLM2-135M-Instruct.Q4_1.gguf.part${part}of4`);
  return new Blob(await Promise.all(pieces.map((piece) => openAsBlob(`${folder}/${piece}`))));
}

/** llama.cpp's token types. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;

interface Token {
  text: string;
  type: number;
  score?: number;
}

/** A GGUF of a vocabulary and nothing else. */
export function vocabularyGguf(
  model: string,
  tokens: readonly Token[],
  more: Readonly<Record<string, MetadataValue>> = {},
): Uint8Array<ArrayBuffer> {
  return writeGguf(
    {
      'general.architecture': { string: 'llama' },
      'llama.context_length': { uint32: 512 },
      'llama.embedding_length': { uint32: 32 },
      'llama.block_count': { uint32: 1 },
      'llama.feed_forward_length': { uint32: 32 },
      'llama.attention.head_count': { uint32: 1 },
      'llama.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
      'tokenizer.ggml.model': { string: model },
      'tokenizer.ggml.tokens': { strings: tokens.map(({ text }) => text) },
      'tokenizer.ggml.token_type': { int32s: tokens.map(({ type }) => type) },
      'tokenizer.ggml.scores': { float32s: tokens.map(({ score = 0 }) => score) },
      ...more,
    },
    [],
  );
}

/** Special tokens of every kind, those among them that llama.cpp knows by their text. */
export const SPECIALS: readonly Token[] = [
  { text: '<unk>', type: UNKNOWN },
  { text: '<s>', type: CONTROL },
  { text: '</s>', type: CONTROL },
  { text: '<|im_start|>', type: CONTROL },
  { text: '<|im_end|>', type: NORMAL },
  { text: '<|endoftext|>', type: CONTROL },
  { text: '<|user|>', type: USER_DEFINED },
  { text: '<|user', type: USER_DEFINED },
  { text: '<fim_prefix>', type: NORMAL },
];
const IDS: Readonly<Record<string, MetadataValue>> = {
  'tokenizer.ggml.unknown_token_id': { uint32: 0 },
  'tokenizer.ggml.bos_token_id': { uint32: 1 },
  'tokenizer.ggml.eos_token_id': { uint32: 2 },
};

/**
 * BPE in which any two bytes that stand side by side are merged, so that ids tell where the text was cut; for pre-tokenizers
 * that turn bytes into characters.
 */
export function pairsOfBytes(pre: string): Uint8Array<ArrayBuffer> {
  const pairs = BYTE_CHARACTERS.flatMap((left) => BYTE_CHARACTERS.map((right) => [left, right] as const));
  const texts = [...BYTE_CHARACTERS, ...pairs.map(([left, right]) => left + right)];
  return vocabularyGguf('gpt2', [...SPECIALS, ...texts.map((text) => ({ text, type: NORMAL }))], {
    ...IDS,
    'tokenizer.ggml.pre': { string: pre },
    'tokenizer.ggml.merges': { strings: pairs.map(([left, right]) => `${left} ${right}`) },
  });
}

/** The same for pre-tokenizers that take text as it is: of ASCII, a few other characters, and bytes. */
export function pairsOfCharacters(pre: string, model = 'gpt2'): Uint8Array<ArrayBuffer> {
  const characters = [
    ...Array.from({ length: 0x7f - 0x21 }, (_, index) => String.fromCharCode(0x21 + index)),
    ...'▁\t',
    ...'äéñЖ中日한。😀',
  ];
  const pairs = characters.flatMap((left) => characters.map((right) => [left, right] as const));
  // As Gemma's: newlines are tokens, of two and more without merges.
  const texts = [...characters, '\n', '\n\n', '\n\n\n', ...pairs.map(([left, right]) => left + right)];
  return vocabularyGguf(
    model,
    [
      ...SPECIALS,
      ...Array.from({ length: 256 }, (_, byte) => ({ text: byteToken(byte), type: BYTE })),
      ...texts.map((text) => ({ text, type: NORMAL })),
    ],
    {
      ...IDS,
      'tokenizer.ggml.pre': { string: pre },
      'tokenizer.ggml.merges': { strings: pairs.map(([left, right]) => `${left} ${right}`) },
    },
  );
}

/** SentencePiece's kinds, with SmolLM2's tokens: the earlier it was merged, the higher the score. */
export function sentencePieces(
  kind: 'llama' | 't5',
  smollm2: Tokenizer,
  more: Readonly<Record<string, MetadataValue>> = {},
): Uint8Array<ArrayBuffer> {
  const taken = new Set(SPECIALS.map(({ text }) => text));
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const pieces: Token[] = [];
  for (let id = 17; id < smollm2.size; id++) {
    let text: string;
    try {
      text = utf8.decode(smollm2.piece(id)).replaceAll(' ', '▁');
    } catch {
      continue;
    }
    if (text === '' || taken.has(text)) continue;
    taken.add(text);
    pieces.push({ text, type: NORMAL, score: -1 - id / (kind === 't5' ? 4096 : 1) });
  }
  const bytes =
    kind === 'llama' ? Array.from({ length: 256 }, (_, byte) => ({ text: byteToken(byte), type: BYTE })) : [];
  return vocabularyGguf(kind, [...SPECIALS, ...bytes, ...pieces], { ...IDS, ...more });
}

/**
 * SentencePiece's compiled normalization rules, as `tokenizer.ggml.precompiled_charsmap` has them: a double array in which a
 * node's children are at its place xor its base xor their byte, and its replacement at its place xor its base.
 */
export function charsMap(rules: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  interface Node {
    children: Map<number, Node>;
    replacement?: number;
  }
  const utf8 = new TextEncoder();
  const root: Node = { children: new Map() };
  let replacements = '';
  for (const [from, to] of Object.entries(rules)) {
    let node = root;
    for (const byte of utf8.encode(from)) {
      const child: Node = node.children.get(byte) ?? { children: new Map() };
      node.children.set(byte, child);
      node = child;
    }
    node.replacement = utf8.encode(replacements).length;
    replacements += `${to}\0`;
  }

  const units: number[] = [0];
  const taken = new Set([0]);
  const place = (node: Node, at: number) => {
    const labels = [...node.children.keys(), ...(node.replacement === undefined ? [] : [0])];
    let base = 1;
    while (labels.some((label) => taken.has(at ^ base ^ label))) base++;
    for (const label of labels) taken.add(at ^ base ^ label);
    units[at] = (units[at] ?? 0) | (base << 10) | (node.replacement === undefined ? 0 : 1 << 8);
    if (node.replacement !== undefined) units[at ^ base] = node.replacement | (1 << 31);
    for (const [label, child] of node.children) {
      units[at ^ base ^ label] = label;
      place(child, at ^ base ^ label);
    }
  };
  place(root, 0);

  // Whoever walks off the tree still has to land in the array.
  const size = Math.ceil((Math.max(...taken) + 1) / 256) * 256;
  const text = utf8.encode(replacements);
  const bytes = new Uint8Array(4 + 4 * size + text.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4 * size, true);
  for (let at = 0; at < size; at++) view.setUint32(4 + 4 * at, units[at] ?? 0, true);
  bytes.set(text, 4 + 4 * size);
  return bytes;
}
