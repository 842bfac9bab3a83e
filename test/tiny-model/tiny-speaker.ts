/**
 * A model that speaks, with random weights from a seed: Pocket TTS's architecture, of which the backbone is a GGUF of its own
 * and the rest a projector: the net that turns its states into latents, and the decoder that turns those into samples. What it
 * says is noise, the same for the same text and seed.
 */
import { type MetadataValue, type Tensor, writeGguf } from './gguf-writer.ts';
import { byteTokens, mulberry32 } from './tiny-model.ts';

/** llama.cpp's own numbers for this architecture. */
export const SPEECH_RATE = 24_000;
export const FRAMES_PER_SECOND = 12.5;
const RATIOS = [6, 5, 4];
const UPSAMPLING = 16;

const EMBEDDING = 64;
const FEED_FORWARD = 64;
const HEADS = 2;
const CONTEXT = 2048;

const LATENT = 8;
const FLOW = 16;
const FREQUENCIES = 4;
const MIMI = 16;
const MIMI_HEADS = 2;
/** Channels before each of the decoder's stages, and after the last. */
const CHANNELS = [16, 8, 8, 8] as const;
/** What it has heard of each speaker, which comes before the text: a few states. */
export const VOICES = ['alba', 'jean'];
const VOICE_LENGTH = 5;

const KERNEL = 7;
const RESIDUAL_KERNEL = 3;

/** Far below the threshold at which speech ends: it is as long as llama.cpp allows for its text. */
const END_BIAS = -1000;

/** llama.cpp's token types. */
const NORMAL = 1;
const CONTROL = 3;

/** The vector that starts the sound, which is a row of the embeddings, and so a token. */
const AUDIO_BEGIN = '<|audio_bos|>';
const SPECIALS = ['<|endoftext|>', AUDIO_BEGIN];

/** The backbone: text in, states out. */
export function tinySpeaker(seed = 1): Uint8Array<ArrayBuffer> {
  const make = tensors(seed);
  const texts = [...byteTokens(), ...SPECIALS];
  const block = 'blk.0';
  return writeGguf(
    {
      'general.architecture': { string: 'pockettts' },
      'general.name': { string: `tiny speaker (seed ${seed})` },
      'general.file_type': { uint32: 0 },
      'pockettts.context_length': { uint32: CONTEXT },
      'pockettts.embedding_length': { uint32: EMBEDDING },
      'pockettts.block_count': { uint32: 1 },
      'pockettts.feed_forward_length': { uint32: FEED_FORWARD },
      'pockettts.attention.head_count': { uint32: HEADS },
      'pockettts.attention.layer_norm_epsilon': { float32: 1e-5 },
      'pockettts.rope.freq_base': { float32: 10_000 },
      'pockettts.vocab_size': { uint32: texts.length },
      'tokenizer.ggml.model': { string: 'gpt2' },
      'tokenizer.ggml.pre': { string: 'gpt-2' },
      'tokenizer.ggml.tokens': { strings: texts },
      'tokenizer.ggml.token_type': {
        int32s: texts.map((text) => (SPECIALS.includes(text) ? CONTROL : NORMAL)),
      },
      'tokenizer.ggml.merges': { strings: [] },
      'tokenizer.ggml.eos_token_id': { uint32: texts.indexOf('<|endoftext|>') },
      'tokenizer.ggml.add_bos_token': { bool: false },
    },
    [
      make.matrix('token_embd.weight', EMBEDDING, texts.length),
      ...make.norm('output_norm', EMBEDDING),
      ...make.norm(`${block}.attn_norm`, EMBEDDING),
      ...['q', 'k', 'v', 'output'].map((part) => make.matrix(`${block}.attn_${part}.weight`, EMBEDDING, EMBEDDING)),
      ...make.norm(`${block}.ffn_norm`, EMBEDDING),
      make.matrix(`${block}.ffn_up.weight`, EMBEDDING, FEED_FORWARD),
      make.matrix(`${block}.ffn_down.weight`, FEED_FORWARD, EMBEDDING),
    ],
  );
}

/** The projector: states to latents, latents to samples. */
export function tinyMouth(seed = 1): Uint8Array<ArrayBuffer> {
  const make = tensors(seed);
  const metadata: Record<string, MetadataValue> = {
    'general.architecture': { string: 'clip' },
    'general.type': { string: 'mmproj' },
    'general.name': { string: 'tiny projector (speech)' },
    'general.file_type': { uint32: 0 },
    'clip.has_gen_audio_encoder': { bool: true },
    'clip.gen.audio.projector_type': { string: 'pockettts_gen' },
    'clip.use_gelu': { bool: true },
    'clip.gen.audio.embedding_length': { uint32: MIMI },
    'clip.gen.audio.feed_forward_length': { uint32: MIMI },
    'clip.gen.audio.projection_dim': { uint32: EMBEDDING },
    'clip.gen.audio.block_count': { uint32: 1 },
    'clip.gen.audio.attention.head_count': { uint32: MIMI_HEADS },
    'clip.gen.audio.attention.layer_norm_epsilon': { float32: 1e-5 },
  };
  const voices = VOICES.map((voice) => make.matrix(`voice.${voice}`, EMBEDDING, VOICE_LENGTH));
  return writeGguf(metadata, [...flow(make), ...decoder(make), ...voices]);
}

function flow(make: Make): Tensor[] {
  const [name, block] = ['a.gen.flow', 'a.gen.flow.blk.0'];
  return [
    ...make.linear(`${name}.input_proj`, LATENT, FLOW),
    ...make.linear(`${name}.cond_embd`, EMBEDDING, FLOW),
    ...make.linear(`${name}.final.ada`, FLOW, 2 * FLOW),
    ...make.linear(`${name}.final.proj`, FLOW, LATENT),
    ...[0, 1].flatMap((time) => [
      filled(`${name}.time.${time}.freqs`, 1, FREQUENCIES),
      ...make.linear(`${name}.time.${time}.up`, 2 * FREQUENCIES, FLOW),
      ...make.linear(`${name}.time.${time}.down`, FLOW, FLOW),
      filled(`${name}.time.${time}.norm`, 1, FLOW),
    ]),
    ...make.norm(`${block}.norm`, FLOW),
    ...make.linear(`${block}.up`, FLOW, FLOW),
    ...make.linear(`${block}.down`, FLOW, FLOW),
    ...make.linear(`${block}.ada`, FLOW, 3 * FLOW),
    make.matrix('a.gen.out_eos.weight', EMBEDDING, 1),
    filled('a.gen.out_eos.bias', END_BIAS, 1),
    make.matrix('a.gen.input_linear.weight', LATENT, EMBEDDING),
    filled('a.gen.emb_mean', 0, LATENT),
    filled('a.gen.emb_std', 1, LATENT),
  ];
}

/** Mimi's: a transformer of one layer, then convolutions that widen each frame to its samples. */
function decoder(make: Make): Tensor[] {
  const block = 'a.gen.wav.tfm.blk.0';
  const [first, , , last] = CHANNELS;
  return [
    make.matrix('a.gen.wav.quant_out.weight', LATENT, MIMI),
    make.matrix('a.gen.wav.upsample.weight', 2 * UPSAMPLING, 1, MIMI),
    ...make.norm(`${block}.ln1`, MIMI),
    ...['q', 'k', 'v', 'out'].map((part) => make.matrix(`${block}.attn_${part}.weight`, MIMI, MIMI)),
    filled(`${block}.ls1.weight`, 1, MIMI),
    ...make.norm(`${block}.ln2`, MIMI),
    make.matrix(`${block}.ffn_up.weight`, MIMI, MIMI),
    make.matrix(`${block}.ffn_down.weight`, MIMI, MIMI),
    filled(`${block}.ls2.weight`, 1, MIMI),
    ...make.convolution('a.gen.wav.seanet.conv_in', KERNEL, MIMI, first),
    ...RATIOS.flatMap((ratio, stage) => {
      const [from = 0, to = 0] = CHANNELS.slice(stage);
      const name = `a.gen.wav.seanet.blk.${stage}`;
      return [
        // Transposed: the channels that come out are before those that go in.
        make.matrix(`${name}.scale_conv.weight`, 2 * ratio, to, from),
        filled(`${name}.scale_conv.bias`, 0, to),
        ...make.convolution(`${name}.res_conv1`, RESIDUAL_KERNEL, to, to / 2),
        ...make.convolution(`${name}.res_conv2`, 1, to / 2, to),
      ];
    }),
    ...make.convolution('a.gen.wav.seanet.conv_out', RESIDUAL_KERNEL, last, 1),
  ];
}

type Make = ReturnType<typeof tensors>;

function filled(name: string, value: number, ...dims: number[]): Tensor {
  const length = dims.reduce((product, dim) => product * dim, 1);
  return { name, dims, data: new Float32Array(length).fill(value) };
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
  const convolution = (name: string, kernel: number, from: number, to: number) => [
    matrix(`${name}.weight`, kernel, from, to),
    filled(`${name}.bias`, 0, to),
  ];
  const norm = (name: string, size: number) => [filled(`${name}.weight`, 1, size), filled(`${name}.bias`, 0, size)];
  return { matrix, linear, convolution, norm };
}
