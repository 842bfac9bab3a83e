/**
 * A GGUF of 1 MB that llama.cpp loads and generates with: llama architecture, random weights from a seed, one token for each
 * byte, a ChatML template. What it says is noise, but printable ASCII, the same for the same seed, and it depends on the
 * prompt, so that tests can tell requests and models apart.
 */
import { type Tensor, writeGguf } from './gguf-writer.ts';

export const CONTEXT_LENGTH = 2048;
const LAYERS = 2;
export const EMBEDDING = 128;
const FEED_FORWARD = 128;
const HEADS = 4;
const KV_HEADS = 2;
/** Of channel 0, for every token and patch of an image: see `tinyModel`. */
export const BIAS_CHANNEL = 4;
/** A multiple of 32, or a q8_0 KV cache can't be used. */
const HEAD_SIZE = EMBEDDING / HEADS;

/** Special tokens, after those of the 256 bytes. */
const SPECIALS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
const END_OF_TEXT = 256;
const IM_END = 258;

/** llama.cpp's number. */
const POOLING_LAST = 3;

/** llama.cpp's token types. */
const NORMAL = 1;
const CONTROL = 3;
const USER_DEFINED = 4;

const CHAT_TEMPLATE =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/**
 * What is added to a token's logit, in units of about twice the logits' own spread. Letters and digits are free, spaces come
 * a little more often, punctuation is rare (a grammar can still have it), and the rest never comes on its own.
 */
const WORD_BIAS = 0;
const SPACE_BIAS = 0.4;
const PUNCTUATION_BIAS = -1;
const NEVER_BIAS = -60;

export interface TinyModelOptions {
  /** Another seed is another model: other text for the same prompt. */
  seed?: number;
  /**
   * Bias of the end-of-turn token: 0 ends an answer after about a hundred tokens. Without it answers never end by
   * themselves, so that they are as long as `max_tokens` says.
   */
  endBias?: number;
  /**
   * A model for agents: its template knows tools and thoughts, and its vocabulary has their tags. It thinks first, for about
   * a hundred tokens, unless `enable_thinking` is false; it calls a tool where `logit_bias` makes it say `<tool_call>` and a new line.
   */
  agent?: boolean;
  /** Tokens. Default: `CONTEXT_LENGTH`. */
  contextLength?: number;
  /** A model that fills gaps: its vocabulary has Qwen's tokens for it. */
  infill?: boolean;
  /** A model for embeddings, which are its state after the last token. */
  embeds?: boolean;
  /** Its chat template, in place of ChatML. */
  template?: string;
}

/** ChatML as Hermes and Qwen extend it: tools in the system message, calls and their results in tags, thoughts too. */
export const AGENT_TEMPLATE = `
{%- if tools %}
  {{- '<|im_start|>system\\nTools:\\n' }}
  {%- for tool in tools %}{{- (tool | tojson) + '\\n' }}{%- endfor %}
  {{- 'Call one with <tool_call>\\n{"name": <name>, "arguments": <object>}\\n</tool_call><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
  {%- if message.role == 'tool' %}
    {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
  {%- else %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.reasoning_content %}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
    {%- if message.content %}{{- message.content }}{%- endif %}
    {%- for call in message.tool_calls or [] %}
      {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
      {{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}
      {{- '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|im_start|>assistant\\n<think>\\n' }}
  {%- if enable_thinking is defined and enable_thinking is false %}{{- '\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}`;
const INFILL_TOKENS = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<|repo_name|>', '<|file_sep|>'];
const AGENT_TAGS = ['<tool_call>', '</tool_call>', '<think>', '</think>'];

/** The bytes of the model; the same for the same options. */
export function tinyModel({
  seed = 1,
  endBias = NEVER_BIAS,
  agent = false,
  infill = false,
  embeds = false,
  contextLength = CONTEXT_LENGTH,
  template = agent ? AGENT_TEMPLATE : CHAT_TEMPLATE,
}: TinyModelOptions = {}): Uint8Array<ArrayBuffer> {
  const random = mulberry32(seed);
  const texts = [...byteTokens(), ...SPECIALS, ...(agent ? AGENT_TAGS : []), ...(infill ? INFILL_TOKENS : [])];
  const vocabulary = texts.length;
  /** Uniform, and of the variance that keeps a matrix product's at 1. */
  const matrix = (name: string, columns: number, rows: number, gain = 1): Tensor => {
    const scale = gain * Math.sqrt(3 / columns);
    const data = Float32Array.from({ length: columns * rows }, () => (random() * 2 - 1) * scale);
    return { name, dims: [columns, rows], data };
  };
  const ones = (name: string): Tensor => ({ name, dims: [EMBEDDING], data: new Float32Array(EMBEDDING).fill(1) });

  // Channel 0 of the residual stream is the same for every token and position: nothing writes to it, so that the output
  // matrix's column 0 is a bias on each token's logit, which the architecture has not.
  const embedding = matrix('token_embd.weight', EMBEDDING, vocabulary, Math.sqrt(EMBEDDING));
  const output = matrix('output.weight', EMBEDDING, vocabulary);
  for (let token = 0; token < vocabulary; token++) {
    embedding.data[token * EMBEDDING] = BIAS_CHANNEL;
    output.data[token * EMBEDDING] = token === IM_END ? endBias : texts[token] === '</think>' ? 0 : biasOf(token);
  }
  const tensors = [embedding, ones('output_norm.weight'), output];
  for (let layer = 0; layer < LAYERS; layer++) {
    const block = `blk.${layer}`;
    tensors.push(
      ones(`${block}.attn_norm.weight`),
      matrix(`${block}.attn_q.weight`, EMBEDDING, HEADS * HEAD_SIZE),
      matrix(`${block}.attn_k.weight`, EMBEDDING, KV_HEADS * HEAD_SIZE),
      matrix(`${block}.attn_v.weight`, EMBEDDING, KV_HEADS * HEAD_SIZE),
      withoutRow0(matrix(`${block}.attn_output.weight`, HEADS * HEAD_SIZE, EMBEDDING)),
      ones(`${block}.ffn_norm.weight`),
      matrix(`${block}.ffn_gate.weight`, EMBEDDING, FEED_FORWARD),
      matrix(`${block}.ffn_up.weight`, EMBEDDING, FEED_FORWARD),
      withoutRow0(matrix(`${block}.ffn_down.weight`, FEED_FORWARD, EMBEDDING)),
    );
  }
  return writeGguf(
    {
      'general.architecture': { string: 'llama' },
      'general.name': { string: `tiny (seed ${seed})` },
      'general.file_type': { uint32: 0 },
      'llama.context_length': { uint32: contextLength },
      'llama.embedding_length': { uint32: EMBEDDING },
      'llama.block_count': { uint32: LAYERS },
      'llama.feed_forward_length': { uint32: FEED_FORWARD },
      'llama.attention.head_count': { uint32: HEADS },
      'llama.attention.head_count_kv': { uint32: KV_HEADS },
      'llama.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
      'llama.rope.dimension_count': { uint32: HEAD_SIZE },
      'llama.rope.freq_base': { float32: 10_000 },
      'llama.vocab_size': { uint32: vocabulary },
      ...(embeds ? { 'llama.pooling_type': { uint32: POOLING_LAST } } : {}),
      'tokenizer.ggml.model': { string: 'gpt2' },
      'tokenizer.ggml.pre': { string: 'gpt-2' },
      'tokenizer.ggml.tokens': { strings: texts },
      'tokenizer.ggml.token_type': {
        int32s: texts.map((text, token) => typeOf(token, text)),
      },
      'tokenizer.ggml.merges': { strings: [] },
      'tokenizer.ggml.bos_token_id': { uint32: END_OF_TEXT },
      'tokenizer.ggml.eos_token_id': { uint32: IM_END },
      'tokenizer.ggml.add_bos_token': { bool: false },
      'tokenizer.chat_template': { string: template },
    },
    tensors,
  );
}

/** Tags are text that is one token, not control tokens, as in Qwen's vocabulary. */
function typeOf(token: number, text: string): number {
  if (token < 256) return NORMAL;
  return AGENT_TAGS.includes(text) ? USER_DEFINED : CONTROL;
}

function biasOf(token: number): number {
  const character = String.fromCharCode(token);
  if (/[A-Za-z0-9]/.test(character)) return WORD_BIAS;
  if (character === ' ') return SPACE_BIAS;
  return token > 0x20 && token < 0x7f ? PUNCTUATION_BIAS : NEVER_BIAS;
}

function withoutRow0(tensor: Tensor): Tensor {
  tensor.data.fill(0, 0, tensor.dims[0]);
  return tensor;
}

/** GPT-2's printable character for each byte: itself where it is one, else the next from U+0100 on. */
export function byteTokens(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : next++);
  });
}

/** Tommy Ettinger's mulberry32: numbers from 0 to 1, the same on every machine. */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
