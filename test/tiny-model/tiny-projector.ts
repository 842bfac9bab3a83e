/**
 * The projector (`mmproj`) that lets the tiny model see: a CLIP vision tower of one layer and LLaVA's two matrices after it,
 * with random weights from a seed. An image becomes 16 embeddings that depend on its pixels, so that tests can tell images apart.
 */
import { type Tensor, writeGguf } from './gguf-writer.ts';
import { BIAS_CHANNEL, EMBEDDING, mulberry32 } from './tiny-model.ts';

const IMAGE = 56;
const PATCH = 14;
const PATCHES = (IMAGE / PATCH) ** 2;
const WIDTH = 32;
const FEED_FORWARD = 32;
const HEADS = 2;

/** Embeddings that an image takes of the context. */
export const IMAGE_TOKENS = PATCHES;

export function tinyProjector(seed = 1): Uint8Array<ArrayBuffer> {
  const random = mulberry32(seed);
  const tensor = (name: string, ...dims: number[]): Tensor => {
    const length = dims.reduce((product, dim) => product * dim, 1);
    const scale = Math.sqrt((3 * (dims.at(-1) ?? 1)) / length);
    return { name, dims, data: Float32Array.from({ length }, () => (random() * 2 - 1) * scale) };
  };
  const filled = (name: string, length: number, value: number): Tensor => ({
    name,
    dims: [length],
    data: new Float32Array(length).fill(value),
  });
  const linear = (name: string, columns: number, rows: number) => [
    tensor(`${name}.weight`, columns, rows),
    filled(`${name}.bias`, rows, 0),
  ];
  const norm = (name: string) => [filled(`${name}.weight`, WIDTH, 1), filled(`${name}.bias`, WIDTH, 0)];

  // Channel 0 is what it is for text: the tiny model's bias on its logits.
  const [weight, bias] = linear('mm.2', EMBEDDING, EMBEDDING) as [Tensor, Tensor];
  weight.data.fill(0, 0, EMBEDDING);
  bias.data[0] = BIAS_CHANNEL;
  return writeGguf(
    {
      'general.architecture': { string: 'clip' },
      'general.type': { string: 'mmproj' },
      'general.name': { string: 'tiny projector' },
      'general.file_type': { uint32: 0 },
      'clip.has_vision_encoder': { bool: true },
      'clip.projector_type': { string: 'mlp' },
      'clip.use_gelu': { bool: false },
      'clip.vision.image_size': { uint32: IMAGE },
      'clip.vision.patch_size': { uint32: PATCH },
      'clip.vision.embedding_length': { uint32: WIDTH },
      'clip.vision.feed_forward_length': { uint32: FEED_FORWARD },
      'clip.vision.projection_dim': { uint32: EMBEDDING },
      'clip.vision.block_count': { uint32: 1 },
      'clip.vision.attention.head_count': { uint32: HEADS },
      'clip.vision.attention.layer_norm_epsilon': { float32: 1e-5 },
      'clip.vision.image_mean': { float32s: [0.5, 0.5, 0.5] },
      'clip.vision.image_std': { float32s: [0.5, 0.5, 0.5] },
    },
    [
      filled('v.class_embd', WIDTH, 0),
      tensor('v.patch_embd.weight', PATCH, PATCH, 3, WIDTH),
      tensor('v.position_embd.weight', WIDTH, PATCHES + 1),
      ...norm('v.pre_ln'),
      ...norm('v.blk.0.ln1'),
      ...linear('v.blk.0.attn_q', WIDTH, WIDTH),
      ...linear('v.blk.0.attn_k', WIDTH, WIDTH),
      ...linear('v.blk.0.attn_v', WIDTH, WIDTH),
      ...linear('v.blk.0.attn_out', WIDTH, WIDTH),
      ...norm('v.blk.0.ln2'),
      ...linear('v.blk.0.ffn_up', WIDTH, FEED_FORWARD),
      ...linear('v.blk.0.ffn_down', FEED_FORWARD, WIDTH),
      ...linear('mm.0', WIDTH, EMBEDDING),
      weight,
      bias,
    ],
  );
}
