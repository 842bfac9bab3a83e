/**
 * Models of llama's architecture with seeded random weights, in quantizations that no embedded model has. Their rows are multiples
 * of 256, as K-quants require. Each token is one character, and what they write is noise.
 */
import { closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs';
import { type MetadataValue, writeGguf } from '../../../test/tiny-model/gguf-writer.ts';
import { type ModelFile, modelFile } from '../site.ts';
import { BLOCK_FORMATS, type BlockFormat, type Quantization, quantize } from './quantize.ts';

const LAYERS = 10;
const EMBEDDING = 768;
const FEED_FORWARD = 2048;
const HEADS = 12;
const KV_HEADS = 4;
const HEAD_SIZE = EMBEDDING / HEADS;
/** ASCII only: other bytes could form text that isn't UTF-8, which llama-server can't put into JSON. */
const BYTES = 128;
const END_OF_TEXT = BYTES;
const VOCABULARY = BYTES + 1;

/** Raised whenever the same name would stand for other bytes. */
const VERSION = 1;

const F32: BlockFormat = { type: 0, elements: 1, bytes: 4, write: ([v = 0], block) => block.setFloat32(0, v, true) };
const ALIGNMENT = 32;

interface Tensor {
  name: string;
  /** The fastest-varying dimension first. */
  dims: number[];
  format: BlockFormat;
}

/** 63 million weights: 34 MB in four bits. Made once, then kept. */
export function syntheticModel(quantization: Quantization): ModelFile {
  const file = modelFile(`synthetic-v${VERSION}-${quantization}.gguf`);
  if (existsSync(file.path)) return file;
  const tensors = tensorsOf(BLOCK_FORMATS[quantization]);
  const unfinished = `${file.path}.part`;
  const output = openSync(unfinished, 'w');
  let length = 0;
  const write = (bytes: Uint8Array) => {
    const padding = new Uint8Array(-(length + bytes.length) & (ALIGNMENT - 1));
    length += writeSync(output, bytes) + writeSync(output, padding);
  };
  write(header(tensors));
  const random = uniform(1);
  for (const tensor of tensors) write(quantize(tensor.format, weights(tensor, random)));
  closeSync(output);
  renameSync(unfinished, file.path);
  return file;
}

function tensorsOf(format: BlockFormat): Tensor[] {
  const matrix = (name: string, columns: number, rows: number) => ({ name, dims: [columns, rows], format });
  const norm = (name: string) => ({ name, dims: [EMBEDDING], format: F32 });
  const blocks = Array.from({ length: LAYERS }, (_, layer) => [
    norm(`blk.${layer}.attn_norm.weight`),
    matrix(`blk.${layer}.attn_q.weight`, EMBEDDING, EMBEDDING),
    matrix(`blk.${layer}.attn_k.weight`, EMBEDDING, KV_HEADS * HEAD_SIZE),
    matrix(`blk.${layer}.attn_v.weight`, EMBEDDING, KV_HEADS * HEAD_SIZE),
    matrix(`blk.${layer}.attn_output.weight`, EMBEDDING, EMBEDDING),
    norm(`blk.${layer}.ffn_norm.weight`),
    matrix(`blk.${layer}.ffn_gate.weight`, EMBEDDING, FEED_FORWARD),
    matrix(`blk.${layer}.ffn_up.weight`, EMBEDDING, FEED_FORWARD),
    matrix(`blk.${layer}.ffn_down.weight`, FEED_FORWARD, EMBEDDING),
  ]);
  return [
    matrix('token_embd.weight', EMBEDDING, VOCABULARY),
    norm('output_norm.weight'),
    matrix('output.weight', EMBEDDING, VOCABULARY),
    ...blocks.flat(),
  ];
}

const sizeOf = ({ dims }: Tensor) => dims.reduce((product, dim) => product * dim, 1);

/** Norms are 1; matrices have the variance that keeps that of a product at 1. */
function weights(tensor: Tensor, random: () => number): Float32Array {
  const [columns = 1, rows] = tensor.dims;
  const values = new Float32Array(sizeOf(tensor)).fill(1);
  if (rows === undefined) return values;
  const scale = Math.sqrt(3 / columns);
  for (let i = 0; i < values.length; i++) values[i] = (random() * 2 - 1) * scale;
  return values;
}

/** The writer's header, followed by tensors of types that it can't write. */
function header(tensors: Tensor[]): Uint8Array {
  const metadata = writeGguf(METADATA, []);
  new DataView(metadata.buffer).setBigUint64(8, BigInt(tensors.length), true);
  const parts: Uint8Array[] = [metadata];
  let offset = 0;
  for (const tensor of tensors) {
    const { name, dims, format } = tensor;
    const info = new DataView(new ArrayBuffer(8 + name.length + 4 + 8 * dims.length + 4 + 8));
    info.setBigUint64(0, BigInt(name.length), true);
    new Uint8Array(info.buffer).set(new TextEncoder().encode(name), 8);
    let at = 8 + name.length;
    info.setUint32(at, dims.length, true);
    at += 4;
    for (const dim of dims) {
      info.setBigUint64(at, BigInt(dim), true);
      at += 8;
    }
    info.setUint32(at, format.type, true);
    info.setBigUint64(at + 4, BigInt(offset), true);
    parts.push(new Uint8Array(info.buffer));
    const bytes = (sizeOf(tensor) / format.elements) * format.bytes;
    offset += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  }
  return Buffer.concat(parts);
}

const METADATA: Record<string, MetadataValue> = {
  'general.architecture': { string: 'llama' },
  'general.name': { string: 'synthetic' },
  'llama.context_length': { uint32: 4096 },
  'llama.embedding_length': { uint32: EMBEDDING },
  'llama.block_count': { uint32: LAYERS },
  'llama.feed_forward_length': { uint32: FEED_FORWARD },
  'llama.attention.head_count': { uint32: HEADS },
  'llama.attention.head_count_kv': { uint32: KV_HEADS },
  'llama.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
  'llama.rope.dimension_count': { uint32: HEAD_SIZE },
  'llama.vocab_size': { uint32: VOCABULARY },
  'tokenizer.ggml.model': { string: 'gpt2' },
  'tokenizer.ggml.pre': { string: 'gpt-2' },
  'tokenizer.ggml.tokens': { strings: [...byteTokens(), '<|endoftext|>'] },
  // Normal tokens, and a control token.
  'tokenizer.ggml.token_type': { int32s: Array.from({ length: VOCABULARY }, (_, token) => (token < BYTES ? 1 : 3)) },
  'tokenizer.ggml.merges': { strings: [] },
  'tokenizer.ggml.bos_token_id': { uint32: END_OF_TEXT },
  'tokenizer.ggml.eos_token_id': { uint32: END_OF_TEXT },
  'tokenizer.ggml.add_bos_token': { bool: false },
};

/** GPT-2's printable character for each byte: the byte's own if it is printable, else the next one from U+0100 on. */
function byteTokens(): string[] {
  let next = 0x100;
  return Array.from({ length: BYTES }, (_, byte) => String.fromCharCode(byte > 0x20 && byte < 0x7f ? byte : next++));
}

/** A linear congruential generator: numbers from 0 to 1, the same on every machine. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
