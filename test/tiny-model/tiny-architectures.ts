/**
 * Tiny models of several architectures and quantizations, with random weights: for engines that compute with the same weights
 * in different ways to be compared. What they say is noise.
 */
import { type MetadataValue, type QuantizedTensor, type Tensor, writeGguf } from './gguf-writer.ts';
import { byteTokens, mulberry32 } from './tiny-model.ts';

/** A multiple of 256, the longest block. */
const EMBEDDING = 256;
const HEAD_SIZE = 64;
const HEADS = EMBEDDING / HEAD_SIZE;
const KV_HEADS = 2;
const FEED_FORWARD = 512;
const LAYERS = 2;
const EXPERTS = 4;
const EXPERT_FEED_FORWARD = 256;
/** Of maion-coder: its experts work in a space of their own, and only its every other layer has them. */
const EXPERT_SPACE = 256;
const EXPERTS_EVERY = 2;
/** Tokens that its first layer looks back; the second one sees all. */
const WINDOW = 64;
const CONTEXT_LENGTH = 1024;
/** Of a recurrent model. */
const INNER = 512;
const STATE = 16;
const CONVOLUTION = 4;
const TIME_STEP_RANK = 16;

export const ARCHITECTURES = ['llama', 'qwen2', 'qwen3', 'gemma', 'qwen3moe', 'mamba', 'maion-coder'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

interface Quantization {
  /** ggml's number. */
  type: number;
  /** Values in a block, and its bytes. */
  values: number;
  bytes: number;
  /** Fills a block of random bytes so that its values are centred, with this standard deviation. */
  fill(block: DataView, deviation: number): void;
}

/** The bits of a half-precision float. */
function half(value: number): number {
  const [bits = 0] = new Uint32Array(Float32Array.of(value).buffer);
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const sign = (bits >>> 16) & 0x8000;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}

/** Standard deviations of whole numbers by chance: of 4, 6 and 8 bits. */
const [NIBBLE, SIX_BITS, BYTE] = [4.61, 18.47, 73.9];

export const QUANTIZATIONS = {
  F16: {
    type: 1,
    values: 1,
    bytes: 2,
    fill: (block, deviation) => block.setUint16(0, half((block.getUint16(0) / 65_535 - 0.5) * 3.46 * deviation), true),
  },
  Q4_0: {
    type: 2,
    values: 32,
    bytes: 18,
    fill: (block, deviation) => block.setUint16(0, half(deviation / NIBBLE), true),
  },
  Q4_1: {
    type: 3,
    values: 32,
    bytes: 20,
    fill: (block, deviation) => {
      block.setUint16(0, half(deviation / NIBBLE), true);
      block.setUint16(2, half((-7.5 * deviation) / NIBBLE), true);
    },
  },
  Q8_0: {
    type: 8,
    values: 32,
    bytes: 34,
    fill: (block, deviation) => block.setUint16(0, half(deviation / BYTE), true),
  },
  Q4_K: {
    type: 12,
    values: 256,
    bytes: 144,
    fill: (block, deviation) => {
      // Each sub-block's scale and minimum are 32 of 63.
      block.setUint16(0, half(deviation / NIBBLE / 32), true);
      block.setUint16(2, half((7.5 * deviation) / NIBBLE / 32), true);
      for (let i = 0; i < 8; i++) block.setUint8(4 + i, 0xa0);
      for (let i = 8; i < 12; i++) block.setUint8(4 + i, 0);
    },
  },
  Q6_K: {
    type: 14,
    values: 256,
    bytes: 210,
    fill: (block, deviation) => {
      for (let i = 0; i < 16; i++) block.setInt8(192 + i, 32);
      block.setUint16(208, half(deviation / SIX_BITS / 32), true);
    },
  },
} satisfies Record<string, Quantization>;

export interface TinyArchitectureOptions {
  architecture?: Architecture;
  /** Of the matrices; norms and biases are F32. */
  quantization?: keyof typeof QUANTIZATIONS | 'F32';
}

/** The bytes of the model; the same for the same options. */
export function tinyArchitecture({
  architecture = 'llama',
  quantization = 'F32',
}: TinyArchitectureOptions = {}): Uint8Array<ArrayBuffer> {
  const latent = architecture === 'maion-coder';
  const normsHeads = latent || architecture.startsWith('qwen3');
  const random = mulberry32(ARCHITECTURES.indexOf(architecture) + 1);
  // Of bytes only those that are a character of ASCII: wllama can't say which tokens were likely if one is no whole character.
  const characters = byteTokens().map((text, byte) => (byte >= 0x20 && byte < 0x7f ? text : `(${byte})`));
  const tokens = [...characters, '<|endoftext|>'];
  const tensors: (Tensor | QuantizedTensor)[] = [];

  const float = (name: string, dims: number[], value: () => number) => {
    const length = dims.reduce((product, dim) => product * dim, 1);
    tensors.push({ name, dims, data: Float32Array.from({ length }, value) });
  };
  const norm = (name: string, length = EMBEDDING) => float(`${name}.weight`, [length], () => 0.8 + 0.4 * random());
  const bias = (name: string, length: number) => float(`${name}.bias`, [length], () => 0.2 * random() - 0.1);
  /** Of the variance that keeps a product's at 1. */
  const matrix = (name: string, dims: number[], deviation = Math.sqrt(1 / (dims[0] as number))) => {
    if (quantization === 'F32') return float(`${name}.weight`, dims, () => (random() - 0.5) * 3.46 * deviation);
    const { type, values, bytes, fill }: Quantization = QUANTIZATIONS[quantization];
    const blocks = dims.reduce((product, dim) => product * dim, 1) / values;
    const data = Uint8Array.from({ length: blocks * bytes }, () => random() * 256);
    for (let i = 0; i < blocks; i++) fill(new DataView(data.buffer, i * bytes, bytes), deviation);
    tensors.push({ name: `${name}.weight`, dims, type, bytes: data });
  };

  matrix('token_embd', [EMBEDDING, tokens.length], architecture === 'gemma' ? 1 / 16 : 1);
  norm('output_norm');
  if (architecture !== 'gemma') matrix('output', [EMBEDDING, tokens.length], 2 / 16);
  for (let layer = 0; layer < LAYERS; layer++) {
    const block = `blk.${layer}`;
    norm(`${block}.attn_norm`);
    if (architecture === 'mamba') {
      matrix(`${block}.ssm_in`, [EMBEDDING, 2 * INNER]);
      float(`${block}.ssm_conv1d.weight`, [CONVOLUTION, INNER], () => random() - 0.5);
      bias(`${block}.ssm_conv1d`, INNER);
      matrix(`${block}.ssm_x`, [INNER, TIME_STEP_RANK + 2 * STATE]);
      float(`${block}.ssm_dt.weight`, [TIME_STEP_RANK, INNER], () => 0.5 * (random() - 0.5));
      bias(`${block}.ssm_dt`, INNER);
      float(`${block}.ssm_a`, [STATE, INNER], () => -0.1 - random());
      float(`${block}.ssm_d`, [INNER], () => random());
      matrix(`${block}.ssm_out`, [INNER, EMBEDDING]);
      continue;
    }
    for (const [name, heads] of [
      ['q', HEADS],
      ['k', KV_HEADS],
      ['v', KV_HEADS],
    ] as const) {
      matrix(`${block}.attn_${name}`, [EMBEDDING, heads * HEAD_SIZE]);
      if (architecture === 'qwen2') bias(`${block}.attn_${name}`, heads * HEAD_SIZE);
      if (normsHeads && name !== 'v') norm(`${block}.attn_${name}_norm`, HEAD_SIZE);
    }
    matrix(`${block}.attn_output`, [HEADS * HEAD_SIZE, EMBEDDING]);
    norm(`${block}.ffn_norm`);
    if (latent) {
      norm(`${block}.post_attention_norm`);
      norm(`${block}.post_ffw_norm`);
    }
    if (architecture === 'qwen3moe' || (latent && (layer + 1) % EXPERTS_EVERY === 0)) {
      const space = latent ? EXPERT_SPACE : EMBEDDING;
      float(`${block}.ffn_gate_inp.weight`, [EMBEDDING, EXPERTS], () => random() - 0.5);
      if (latent) matrix(`${block}.ffn_latent_down`, [EMBEDDING, space]);
      matrix(`${block}.ffn_gate_exps`, [space, EXPERT_FEED_FORWARD, EXPERTS]);
      matrix(`${block}.ffn_up_exps`, [space, EXPERT_FEED_FORWARD, EXPERTS]);
      matrix(`${block}.ffn_down_exps`, [EXPERT_FEED_FORWARD, space, EXPERTS]);
      if (latent) matrix(`${block}.ffn_latent_up`, [space, EMBEDDING]);
    } else {
      matrix(`${block}.ffn_gate`, [EMBEDDING, FEED_FORWARD]);
      matrix(`${block}.ffn_up`, [EMBEDDING, FEED_FORWARD]);
      matrix(`${block}.ffn_down`, [FEED_FORWARD, EMBEDDING]);
    }
  }

  const numbers: Record<string, number> =
    architecture === 'mamba'
      ? {
          feed_forward_length: 0,
          'attention.head_count': 0,
          'ssm.conv_kernel': CONVOLUTION,
          'ssm.inner_size': INNER,
          'ssm.state_size': STATE,
          'ssm.time_step_rank': TIME_STEP_RANK,
        }
      : {
          feed_forward_length: FEED_FORWARD,
          'attention.head_count': HEADS,
          'attention.head_count_kv': KV_HEADS,
          'attention.key_length': HEAD_SIZE,
          'attention.value_length': HEAD_SIZE,
          ...(latent
            ? {
                'attention.sliding_window': WINDOW,
                interleave_moe_layer_step: EXPERTS_EVERY,
                moe_latent_size: EXPERT_SPACE,
              }
            : {}),
          ...(latent || architecture === 'qwen3moe'
            ? { expert_count: EXPERTS, expert_used_count: 2, expert_feed_forward_length: EXPERT_FEED_FORWARD }
            : {}),
        };
  const metadata: Record<string, MetadataValue> = {
    'general.architecture': { string: architecture },
    [`${architecture}.context_length`]: { uint32: CONTEXT_LENGTH },
    [`${architecture}.embedding_length`]: { uint32: EMBEDDING },
    [`${architecture}.block_count`]: { uint32: LAYERS },
    [`${architecture}.attention.layer_norm_rms_epsilon`]: { float32: 1e-5 },
    [`${architecture}.vocab_size`]: { uint32: tokens.length },
    'tokenizer.ggml.model': { string: 'gpt2' },
    'tokenizer.ggml.pre': { string: 'gpt-2' },
    'tokenizer.ggml.tokens': { strings: tokens },
    'tokenizer.ggml.token_type': { int32s: tokens.map((_, token) => (token < 256 ? 1 : 3)) },
    'tokenizer.ggml.merges': { strings: [] },
    'tokenizer.ggml.bos_token_id': { uint32: 256 },
    'tokenizer.ggml.eos_token_id': { uint32: 256 },
    'tokenizer.ggml.add_bos_token': { bool: false },
  };
  if (latent) {
    metadata[`${architecture}.attention.sliding_window_pattern`] = {
      int32s: Array.from({ length: LAYERS }, (_, layer) => Number(layer === 0)),
    };
  }
  for (const [key, value] of Object.entries(numbers)) metadata[`${architecture}.${key}`] = { uint32: value };
  return writeGguf(metadata, tensors);
}
