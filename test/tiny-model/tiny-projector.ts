/**
 * Projectors (`mmproj`) that let the tiny model see or hear: an encoder of one layer and what puts its output among the
 * embeddings of text, with random weights from a seed. What comes out depends on the pixels, or the samples, so that tests can
 * tell images and sounds apart.
 */
import { type MetadataValue, type Tensor, writeGguf } from './gguf-writer.ts';
import { BIAS_CHANNEL, EMBEDDING, mulberry32 } from './tiny-model.ts';

const WIDTH = 32;
const FEED_FORWARD = 32;
const HEADS = 2;

const IMAGE = 56;
const PATCH = 14;
const PATCHES = (IMAGE / PATCH) ** 2;
/** Embeddings that an image takes of the context. */
export const IMAGE_TOKENS = PATCHES;

/** Whisper's: half a minute in 1500 positions, of which Qwen2-Audio makes 750 embeddings. */
const MEL_BINS = 80;
const POSITIONS = 1500;
export const AUDIO_TOKENS = POSITIONS / 2;

/** A CLIP tower, and LLaVA's two matrices after it. */
export function tinyEye(seed = 1): Uint8Array<ArrayBuffer> {
  const make = tensors(seed);
  return projector('vision', 'mlp', {
    metadata: {
      'clip.vision.image_size': { uint32: IMAGE },
      'clip.vision.patch_size': { uint32: PATCH },
      'clip.vision.image_mean': { float32s: [0.5, 0.5, 0.5] },
      'clip.vision.image_std': { float32s: [0.5, 0.5, 0.5] },
    },
    tensors: [
      filled('v.class_embd', 0, WIDTH),
      make.matrix('v.patch_embd.weight', PATCH, PATCH, 3, WIDTH),
      make.matrix('v.position_embd.weight', WIDTH, PATCHES + 1),
      ...norm('v.pre_ln'),
      ...make.block('v.blk.0'),
      ...make.linear('mm.0', WIDTH, EMBEDDING),
      ...make.output('mm.2', EMBEDDING),
    ],
  });
}

/** A Whisper encoder, and Qwen2-Audio's matrix after it. */
export function tinyEar(seed = 1): Uint8Array<ArrayBuffer> {
  const make = tensors(seed);
  const convolution = (name: string, channels: number) => [
    make.matrix(`${name}.weight`, 3, channels, WIDTH),
    filled(`${name}.bias`, 0, 1, WIDTH),
  ];
  return projector('audio', 'qwen2a', {
    metadata: { 'clip.audio.num_mel_bins': { uint32: MEL_BINS } },
    tensors: [
      ...convolution('a.conv1d.1', MEL_BINS),
      ...convolution('a.conv1d.2', WIDTH),
      make.matrix('a.position_embd.weight', WIDTH, POSITIONS),
      ...make.block('a.blk.0'),
      ...norm('a.post_ln'),
      ...make.output('mm.a.fc', WIDTH),
    ],
  });
}

function projector(
  sense: 'vision' | 'audio',
  type: string,
  own: { metadata: Record<string, MetadataValue>; tensors: Tensor[] },
): Uint8Array<ArrayBuffer> {
  const metadata: Record<string, MetadataValue> = {
    'general.architecture': { string: 'clip' },
    'general.type': { string: 'mmproj' },
    'general.name': { string: `tiny projector (${sense})` },
    'general.file_type': { uint32: 0 },
    [`clip.has_${sense}_encoder`]: { bool: true },
    'clip.projector_type': { string: type },
    'clip.use_gelu': { bool: false },
    [`clip.${sense}.embedding_length`]: { uint32: WIDTH },
    [`clip.${sense}.feed_forward_length`]: { uint32: FEED_FORWARD },
    [`clip.${sense}.projection_dim`]: { uint32: EMBEDDING },
    [`clip.${sense}.block_count`]: { uint32: 1 },
    [`clip.${sense}.attention.head_count`]: { uint32: HEADS },
    [`clip.${sense}.attention.layer_norm_epsilon`]: { float32: 1e-5 },
    ...own.metadata,
  };
  return writeGguf(metadata, own.tensors);
}

function filled(name: string, value: number, ...dims: number[]): Tensor {
  const length = dims.reduce((product, dim) => product * dim, 1);
  return { name, dims, data: new Float32Array(length).fill(value) };
}

function norm(name: string): Tensor[] {
  return [filled(`${name}.weight`, 1, WIDTH), filled(`${name}.bias`, 0, WIDTH)];
}

function tensors(seed: number) {
  const random = mulberry32(seed);
  /** Uniform, and of the variance that keeps a matrix product's at 1. */
  const matrix = (name: string, ...dims: number[]): Tensor => {
    const tensor = filled(name, 0, ...dims);
    const scale = Math.sqrt((3 * (dims.at(-1) ?? 1)) / tensor.data.length);
    return { ...tensor, data: tensor.data.map(() => (random() * 2 - 1) * scale) };
  };
  const linear = (name: string, columns: number, rows: number) => [
    matrix(`${name}.weight`, columns, rows),
    filled(`${name}.bias`, 0, rows),
  ];
  const block = (name: string) => [
    ...norm(`${name}.ln1`),
    // Whisper's keys have no bias.
    matrix(`${name}.attn_k.weight`, WIDTH, WIDTH),
    ...['q', 'v', 'out'].flatMap((part) => linear(`${name}.attn_${part}`, WIDTH, WIDTH)),
    ...norm(`${name}.ln2`),
    ...linear(`${name}.ffn_up`, WIDTH, FEED_FORWARD),
    ...linear(`${name}.ffn_down`, FEED_FORWARD, WIDTH),
  ];
  /** The last matrix: channel 0 is what it is for text, the tiny model's bias on its logits. */
  const output = (name: string, columns: number) => {
    const [weight, bias] = linear(name, columns, EMBEDDING) as [Tensor, Tensor];
    weight.data.fill(0, 0, columns);
    bias.data[0] = BIAS_CHANNEL;
    return [weight, bias];
  };
  return { matrix, linear, block, output };
}
