/** A catalog, a store and an engine for tests, whose every step the test decides. */
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
import type { LlamatabError } from '../../errors.ts';
import type {
  AddOptions,
  Catalog,
  CatalogModel,
  DownloadProgress,
  ModelSource,
  ModelStatus,
  ModelStore,
  SpaceReport,
  VerifyReport,
  WorkOptions,
} from '../../models/models.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { createServer, type Server, type ServerOptions } from '../server.ts';

export const CHAT_MODEL: CatalogModel = {
  id: 'smollm2-135m-instruct',
  aliases: ['smollm2'],
  files: [{ name: 'smollm2.gguf', size: 100, sha256: '', pieces: [] }],
  capabilities: ['chat', 'completion'],
  contextLength: 2048,
  name: 'SmolLM2 135M Instruct',
  authors: 'Hugging Face',
  license: 'Apache-2.0',
};

export const EMBEDDING_MODEL: CatalogModel = {
  ...CHAT_MODEL,
  id: 'org/all-minilm-l6-v2',
  aliases: ['all-minilm-l6-v2'],
  files: [
    { name: 'minilm-1.gguf', size: 60, sha256: '', pieces: [] },
    { name: 'minilm-2.gguf', size: 40, sha256: '', pieces: [] },
  ],
  capabilities: ['embedding'],
};

export const CATALOG: Catalog = { version: 1, default: CHAT_MODEL.id, models: [CHAT_MODEL, EMBEDDING_MODEL] };

const INFO: LoadedModelInfo = {
  plan: {
    wasm: 'https://site/wllama.wasm',
    compat: false,
    variant: 'stock',
    threads: 2,
    contextSize: 2048,
    slots: 4,
    batchSize: 512,
    microBatchSize: 512,
    kvCacheType: 'q8_0',
    flashAttention: true,
    gpuLayers: 0,
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
  media: { image: false, audio: false, marker: '<__media__>' },
  sound: { inputRate: 0, outputRate: 0, voices: [], realtime: false, liveTranscription: false },
};

/** A promise that the test settles. */
export class Gate<T = void> {
  readonly promise: Promise<T>;
  open!: (value: T) => void;
  fail!: (error: unknown) => void;
  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
    this.promise.catch(() => {});
  }
}

/** What llama.cpp gives before the server completes it. */
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
  readonly load = { processing: 0, deferred: 0, decodes: 0, busySlots: 0 };
  tuning: TuningReport = { source: 'default', measured: null, candidates: [] };
  readonly engine: FakeEngine;
  unloaded = false;
  constructor(engine: FakeEngine) {
    this.engine = engine;
    const metadata = { ...INFO.metadata, ...engine.metadata };
    this.info = {
      ...INFO,
      metadata,
      media: { ...INFO.media, ...engine.media },
      sound: { ...INFO.sound, ...engine.sound },
    };
  }

  async *complete(request: CompletionRequest): AsyncGenerator<Json> {
    this.engine.completions.push(request);
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

  unload(): void {
    this.unloaded = true;
  }
}

export class FakeEngine implements Engine {
  readonly loads: EngineModel[] = [];
  readonly loaded: FakeModel[] = [];
  readonly completions: CompletionRequest[] = [];
  readonly embeddings: EmbeddingRequest[] = [];
  readonly reranks: RerankRequest[] = [];
  readonly speeches: SpeechRequest[] = [];
  tokenizer: Tokenizer = BYTE_TOKENIZER;
  /** Of the GGUF header of models that are loaded from now on. */
  readonly metadata: Record<string, string> = {};
  media: Partial<LoadedModelInfo['media']> = {};
  sound: Partial<LoadedModelInfo['sound']> = {};
  /** Generators of `complete`, `speak` and `converse` that have been left, by their end or by `return()`. */
  left = 0;
  onLoad: (model: EngineModel, signal?: AbortSignal) => Promise<void> = async () => {};
  onComplete: (request: CompletionRequest) => AsyncIterable<Json> = async function* () {
    yield CHAT_RESULT;
  };
  onEmbed: (request: EmbeddingRequest) => Promise<EmbeddingResult> = async () => ({
    embedding: [0.6, 0.8, 0, 0],
    tokens: 3,
  });

  /** The longer the document, the better. */
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

/** Keeps nothing: says of the files what a test tells it to, and remembers what it was asked for. */
export class FakeStore implements ModelStore {
  opens = 0;
  onOpen: (report: (progress: DownloadProgress) => void, signal?: AbortSignal) => Promise<void> = async () => {};
  /** What it was asked to do, in order: `['pin', id, true]`. */
  readonly calls: unknown[][] = [];
  /** What comes of what takes its time. */
  onWork: (verb: 'download' | 'verify' | 'repair', model: CatalogModel, options: WorkOptions) => Promise<VerifyReport> =
    async () => ({ ok: true, checked: 100, bad: [] });
  onAdd: (options: AddOptions & WorkOptions) => Promise<void> = async () => {};
  exported: File[] = [];
  readonly #catalog: Catalog;
  readonly #statuses = new Map<string, Partial<ModelStatus>>();
  readonly #listeners = new Set<Parameters<ModelStore['subscribe']>[0]>();

  constructor(catalog: Catalog) {
    this.#catalog = { ...catalog, models: [...catalog.models] };
  }

  /** Changes what it says of a model's files, and tells so. */
  async set(model: CatalogModel, status: Partial<ModelStatus>): Promise<void> {
    this.#statuses.set(model.id, { ...this.#statuses.get(model.id), ...status });
    this.#tell(model, await this.status(model));
  }

  catalog = async () => this.#catalog;
  stored = async (model: CatalogModel) => (await this.status(model)).loaded;
  list = async () => Promise.all(this.#catalog.models.map((model) => this.status(model)));
  status = async (model: CatalogModel): Promise<ModelStatus> => ({
    model,
    state: 'absent',
    loaded: 0,
    total: model.files.reduce((sum, file) => sum + file.size, 0),
    pinned: false,
    lastUsed: null,
    kept: 'disk',
    ...this.#statuses.get(model.id),
  });
  subscribe = (listener: Parameters<ModelStore['subscribe']>[0]) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  download = async (model: CatalogModel, options: WorkOptions = {}) => {
    this.calls.push(['download', model.id]);
    await this.onWork('download', model, options);
  };
  verify = (model: CatalogModel, options: WorkOptions = {}) => this.#work('verify', model, options);
  repair = (model: CatalogModel, options: WorkOptions = {}) => this.#work('repair', model, options);
  pause = ({ id }: CatalogModel) => void this.calls.push(['pause', id]);
  resume = ({ id }: CatalogModel) => void this.calls.push(['resume', id]);
  cancel = async ({ id }: CatalogModel) => void this.calls.push(['cancel', id]);
  hold = () => () => {};
  touch = async () => {};
  pin = async (model: CatalogModel, pinned = true) => {
    this.calls.push(['pin', model.id, pinned]);
    await this.set(model, { pinned });
  };
  remove = async (model: CatalogModel) => {
    this.calls.push(['remove', model.id]);
    const { models } = this.#catalog;
    if (model.source !== undefined) models.splice(models.indexOf(model), 1);
    this.#statuses.delete(model.id);
    this.#tell(model, model.source === undefined ? await this.status(model) : 'removed');
  };
  evict = async () => [];
  space = async (model: CatalogModel, { contextLength = model.contextLength } = {}): Promise<SpaceReport> => ({
    disk: {
      needed: 100,
      missing: 100,
      usage: 0,
      quota: 1000,
      free: 1000,
      evictable: 0,
      persisted: false,
      enough: true,
    },
    memory: { weights: 100, kvCache: 10, total: 110, contextLength, available: null, enough: true },
  });
  addFromUrl = (url: string, options: AddOptions = {}) => this.#add({ kind: 'url', url }, options);
  addFromHub = (repo: string, options: AddOptions = {}) =>
    this.#add({ kind: 'hub', endpoint: options.endpoint ?? 'https://hub', repo, tag: 'Q4_K_M' }, options);
  addFromFiles = ([file]: readonly File[], options: AddOptions & WorkOptions = {}) =>
    this.#add({ kind: 'file', name: file?.name ?? '' }, options);
  exportFiles = async () => this.exported;
  exportArchive = async ({ id }: CatalogModel) => new File(this.exported, `${id.replaceAll('/', '-')}.tar`);

  async open(
    _model: CatalogModel,
    onProgress: (progress: DownloadProgress) => void,
    signal?: AbortSignal,
  ): Promise<Blob[]> {
    this.opens++;
    await this.onOpen(onProgress, signal);
    return [new Blob()];
  }

  #work(verb: 'verify' | 'repair', model: CatalogModel, options: WorkOptions): Promise<VerifyReport> {
    this.calls.push([verb, model.id]);
    return this.onWork(verb, model, options);
  }

  async #add(source: ModelSource, options: AddOptions & WorkOptions): Promise<CatalogModel> {
    const { onProgress: _, signal: __, ...given } = options;
    this.calls.push(['add', source, given]);
    await this.onAdd(options);
    const model = { ...CHAT_MODEL, id: options.id ?? 'added', aliases: [], source };
    this.#catalog.models.push(model);
    this.#tell(model, await this.status(model));
    return model;
  }

  #tell(model: CatalogModel, status: ModelStatus | 'removed'): void {
    for (const listener of this.#listeners) listener(model, status);
  }
}

export interface TestServer extends Server {
  engine: FakeEngine;
  store: FakeStore;
  /** A request to `path`; with a body, a POST. A string goes as it is. */
  send(path: string, body?: unknown, init?: RequestInit): Promise<Response>;
}

export const NOW = 1_700_000_000_000;

export function createTestServer(options: Partial<ServerOptions> = {}, catalog = CATALOG): TestServer {
  const engine = new FakeEngine();
  const store = new FakeStore(catalog);
  const random = seededRandom(1);
  const server = createServer(
    { models: store, engine, version: '1.2.3', ...options },
    () => NOW,
    () => Math.floor(random() * 2 ** 32),
  );
  return {
    ...server,
    engine,
    store,
    send: (path, body, init = {}) =>
      server.fetch(
        new Request(`https://site${path}`, {
          ...(body === undefined
            ? {}
            : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }),
          ...init,
        }),
      ),
  };
}

/** mulberry32: 0 to 1, the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The `data:` of each event: JSON, or the text of what is no JSON. */
export function parseEvents(text: string): unknown[] {
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => (event === 'data: [DONE]' ? '[DONE]' : JSON.parse(event.slice('data: '.length))));
}
