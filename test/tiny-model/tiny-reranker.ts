/**
 * A GGUF of 100 KB that llama.cpp ranks documents with: BERT architecture, random weights from a seed, a token for each letter.
 * Its scores mean nothing, but they depend on query and document, and are the same for the same seed.
 */
import { type Tensor, writeGguf } from './gguf-writer.ts';
import { mulberry32 } from './tiny-model.ts';

export const TINY_BERT_CONTEXT = 128;
const LAYERS = 1;
const EMBEDDING = 64;
const FEED_FORWARD = 64;
const HEADS = 2;

/** In the order of their ids. */
const SPECIALS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
const [PAD, UNKNOWN, CLS, SEPARATOR, MASK] = [0, 1, 2, 3, 4];
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz0123456789'];
/** A word's first letter is another token than the same letter within a word: `▁` is llama.cpp's mark of it. */
const TOKENS = [...SPECIALS, ...LETTERS.map((letter) => `▁${letter}`), ...LETTERS];

/** llama.cpp's numbers. */
export const POOLING = { none: 0, mean: 1, rank: 4 } as const;
const NORMAL = 1;
const CONTROL = 3;

/** @param pooling What the header says; without `rank` it is a model for embeddings. */
export function tinyReranker(pooling: keyof typeof POOLING = 'rank'): Uint8Array<ArrayBuffer> {
  const random = mulberry32(3);
  const matrix = (name: string, columns: number, rows: number): Tensor => {
    const scale = Math.sqrt(3 / columns);
    return {
      name,
      dims: [columns, rows],
      data: Float32Array.from({ length: columns * rows }, () => (random() * 2 - 1) * scale),
    };
  };
  const vector = (name: string, value: number, size = EMBEDDING): Tensor => ({
    name,
    dims: [size],
    data: new Float32Array(size).fill(value),
  });
  const linear = (name: string, columns: number, rows: number) => [
    matrix(`${name}.weight`, columns, rows),
    vector(`${name}.bias`, 0, rows),
  ];
  const norm = (name: string) => [vector(`${name}.weight`, 1), vector(`${name}.bias`, 0)];

  const tensors = [
    matrix('token_embd.weight', EMBEDDING, TOKENS.length),
    matrix('token_types.weight', EMBEDDING, 2),
    matrix('position_embd.weight', EMBEDDING, TINY_BERT_CONTEXT),
    ...norm('token_embd_norm'),
    ...(pooling === 'rank' ? linear('cls.output', EMBEDDING, 1) : []),
  ];
  for (let layer = 0; layer < LAYERS; layer++) {
    const block = `blk.${layer}`;
    tensors.push(
      ...linear(`${block}.attn_q`, EMBEDDING, EMBEDDING),
      ...linear(`${block}.attn_k`, EMBEDDING, EMBEDDING),
      ...linear(`${block}.attn_v`, EMBEDDING, EMBEDDING),
      ...linear(`${block}.attn_output`, EMBEDDING, EMBEDDING),
      ...norm(`${block}.attn_output_norm`),
      ...linear(`${block}.ffn_up`, EMBEDDING, FEED_FORWARD),
      ...linear(`${block}.ffn_down`, FEED_FORWARD, EMBEDDING),
      ...norm(`${block}.layer_output_norm`),
    );
  }
  return writeGguf(
    {
      'general.architecture': { string: 'bert' },
      'general.name': { string: `tiny (${pooling})` },
      'general.file_type': { uint32: 0 },
      'bert.context_length': { uint32: TINY_BERT_CONTEXT },
      'bert.embedding_length': { uint32: EMBEDDING },
      'bert.block_count': { uint32: LAYERS },
      'bert.feed_forward_length': { uint32: FEED_FORWARD },
      'bert.attention.head_count': { uint32: HEADS },
      'bert.attention.layer_norm_epsilon': { float32: 1e-12 },
      'bert.attention.causal': { bool: false },
      'bert.pooling_type': { uint32: POOLING[pooling] },
      'tokenizer.ggml.model': { string: 'bert' },
      'tokenizer.ggml.token_type_count': { uint32: 2 },
      'tokenizer.ggml.tokens': { strings: TOKENS },
      'tokenizer.ggml.token_type': {
        int32s: TOKENS.map((_, token) => (token < SPECIALS.length ? CONTROL : NORMAL)),
      },
      'tokenizer.ggml.bos_token_id': { uint32: CLS },
      'tokenizer.ggml.eos_token_id': { uint32: SEPARATOR },
      'tokenizer.ggml.seperator_token_id': { uint32: SEPARATOR },
      'tokenizer.ggml.unknown_token_id': { uint32: UNKNOWN },
      'tokenizer.ggml.padding_token_id': { uint32: PAD },
      'tokenizer.ggml.mask_token_id': { uint32: MASK },
    },
    tensors,
  );
}
