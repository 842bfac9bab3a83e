/** An engine for tests: records its requests, and does what the test says. */
import type {
  CompletionRequest,
  EmbeddingRequest,
  EmbeddingResult,
  Engine,
  EngineModel,
  Json,
  LoadedModel,
  LoadedModelInfo,
  RealtimeRequest,
  RerankRequest,
  RerankResult,
  SpeechChunk,
  SpeechRequest,
  TuningReport,
} from '../../engine/engine.ts';
import type { SchemaWay } from '../../engine/schema-way.ts';
import type { LlamatabError } from '../../errors.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { Gate } from './gate.ts';

const INFO: LoadedModelInfo = {
  plan: {
    wasm: 'https://site/wllama.wasm',
    compat: false,
    variant: 'stock',
    threads: 2,
    contextSize: 2048,
    contextNote: null,
    contextShift: false,
    slots: 4,
    batchSize: 512,
    microBatchSize: 512,
    kvCacheType: 'q8_0',
    flashAttention: true,
    gpuLayers: 0,
    gpuNote: null,
  },
  build: 'b11364-46ca246',
  gpu: null,
  nVocab: 49152,
  nCtxTrain: 8192,
  nEmbd: 4,
  nLayer: 30,
  nParams: 134_515_008,
  tensorBytes: 96,
  metadata: { 'tokenizer.ggml.model': 'gpt2', 'general.file_type': '3', 'tokenizer.chat_template': '{{ messages }}' },
  bosToken: 1,
  eosToken: 2,
  templateFault: null,
  media: { image: false, audio: false, marker: '<__media__>' },
  sound: { inputRate: 0, outputRate: 0, voices: [], realtime: false, liveTranscription: false },
};

/** llama.cpp's result, before the server completes it. */
export const CHAT_RESULT: Json = {
  choices: [{ finish_reason: 'stop', index: 0, message: { role: 'assistant', content: 'Paris.' } }],
  created: 1,
  model: '',
  system_fingerprint: 'wllama',
  object: 'chat.completion',
  usage: { completion_tokens: 2, prompt_tokens: 3, total_tokens: 5, prompt_tokens_details: { cached_tokens: 0 } },
  id: '',
  timings: {},
};

/** A token for each byte of UTF-8. */
const BYTE_TOKENIZER: Tokenizer = {
  size: 256,
  added: { before: [], after: [] },
  infill: {},
  parts: (text) => [text],
  encode: (text) => [...new TextEncoder().encode(text)],
  decode: (tokens) => new TextDecoder().decode(Uint8Array.from(tokens)),
  piece: (token) => Uint8Array.of(token),
};

export class FakeModel implements LoadedModel {
  readonly info: LoadedModelInfo;
  readonly lostGate = new Gate<LlamatabError>();
  readonly lost = this.lostGate.promise;
  readonly workload = { processing: 0, deferred: 0, decodes: 0, busySlots: 0 };
  tuning: TuningReport = { source: 'default', measured: null, candidates: [] };
  readonly engine: FakeEngine;
  unloaded = false;
  constructor(engine: FakeEngine) {
    this.engine = engine;
    const metadata = { ...INFO.metadata, ...engine.metadata };
    const { templateFault } = engine;
    const [media, sound] = [
      { ...INFO.media, ...engine.media },
      { ...INFO.sound, ...engine.sound },
    ];
    this.info = { ...INFO, metadata, templateFault, media, sound };
  }

  async *complete(request: CompletionRequest): AsyncGenerator<Json> {
    this.engine.completions.push(request);
    if (!this.engine.isFull) request.onStarted?.();
    try {
      yield* this.engine.onComplete(request);
    } finally {
      this.engine.left++;
    }
  }

  embed(request: EmbeddingRequest): Promise<EmbeddingResult> {
    this.engine.embeddings.push(request);
    return this.engine.onEmbed(request);
  }

  rerank(request: RerankRequest): Promise<RerankResult> {
    this.engine.reranks.push(request);
    return this.engine.onRerank(request);
  }

  async *speak(request: SpeechRequest): AsyncGenerator<SpeechChunk> {
    this.engine.speeches.push(request);
    try {
      yield* this.engine.onSpeak(request);
    } finally {
      this.engine.left++;
    }
  }

  async *converse(request: RealtimeRequest): AsyncGenerator<Json> {
    try {
      yield* this.engine.onConverse(request);
    } finally {
      this.engine.left++;
    }
  }

  tokenizer = async () => this.engine.tokenizer;

  async showsTools(): Promise<boolean> {
    const { metadata } = this.info;
    return (metadata['tokenizer.chat_template.tool_use'] ?? metadata['tokenizer.chat_template'] ?? '').includes(
      'tools',
    );
  }

  async schemaWay(): Promise<SchemaWay> {
    return this.engine.schemaWay;
  }

  unload(): void {
    this.unloaded = true;
  }
}

export class FakeEngine implements Engine {
  readonly loads: EngineModel[] = [];
  readonly loaded: FakeModel[] = [];
  readonly completions: CompletionRequest[] = [];
  /** No request gets a slot. */
  isFull = false;
  readonly embeddings: EmbeddingRequest[] = [];
  readonly reranks: RerankRequest[] = [];
  readonly speeches: SpeechRequest[] = [];
  tokenizer: Tokenizer = BYTE_TOKENIZER;
  /** For the GGUF header of models loaded from now on. */
  readonly metadata: Record<string, string> = {};
  media: Partial<LoadedModelInfo['media']> = {};
  templateFault: string | null = null;
  schemaWay: SchemaWay = { by: 'schema' };
  sound: Partial<LoadedModelInfo['sound']> = {};
  /** Generators of `complete`, `speak` and `converse` that have ended, by themselves or by `return()`. */
  left = 0;
  onLoad: (model: EngineModel, signal?: AbortSignal) => Promise<void> = async () => {};
  onComplete: (request: CompletionRequest) => AsyncIterable<Json> = async function* () {
    yield CHAT_RESULT;
  };
  onEmbed: (request: EmbeddingRequest) => Promise<EmbeddingResult> = async () => ({
    embedding: [0.6, 0.8, 0, 0],
    tokens: 3,
  });

  /** Longer documents score higher. */
  onRerank: (request: RerankRequest) => Promise<RerankResult> = async ({ query, document }) => ({
    score: document.length / 8,
    tokens: query.length + document.length,
  });

  /** Two chunks of two samples. */
  onSpeak: (request: SpeechRequest) => AsyncIterable<SpeechChunk> = async function* () {
    for (const samples of [Float32Array.of(0, 1), Float32Array.of(-1, 0)]) {
      yield { audio: new Uint8Array(samples.buffer), sampleRate: 24_000 };
    }
  };

  /** Echoes its client's events. */
  onConverse: (request: RealtimeRequest) => AsyncIterable<Json> = async function* ({ options, input }) {
    yield { type: 'session.created', options };
    yield* input;
  };

  /** Bytes. */
  onMemory: (model: EngineModel) => Promise<number> = async () => 100;

  memory(model: EngineModel): Promise<number> {
    return this.onMemory(model);
  }

  async load(model: EngineModel, signal?: AbortSignal): Promise<LoadedModel> {
    this.loads.push(model);
    await this.onLoad(model, signal);
    const loaded = new FakeModel(this);
    this.loaded.push(loaded);
    return loaded;
  }
}
