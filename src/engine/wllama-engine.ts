/** The engine: llama.cpp in WebAssembly, one wllama instance (with a worker of its own) for each model that is loaded. */

import { CacheManager, type LoadModelParams, Wllama } from '@wllama/wllama/esm/index.js';
import { remedyOfMessage } from '../content-policy.ts';
import { LlamatabError } from '../errors.ts';
import { readGgufHeader } from '../gguf/header.ts';
import { type Claim, createAdmissionQueue } from './admission-queue.ts';
import type { WasmUrls } from './device-plan.ts';
import {
  type CompletionRequest,
  type DevicePlan,
  type EmbeddingRequest,
  type EmbeddingResult,
  type Engine,
  EngineLost,
  type EngineModel,
  type EngineOptions,
  type Json,
  type LoadedModelInfo,
  type RerankRequest,
  type RerankResult,
  type SpeechChunk,
  type SpeechRequest,
} from './engine.ts';
import { countWeights } from './model-facts.ts';
import { createPlannedEngine, type Instance, type LoadInstance, type Patience } from './planned-engine.ts';
import { converse } from './realtime.ts';
import { findTemplateFault } from './template-fault.ts';
import { Watchdog } from './watchdog.ts';
import { toError, WllamaGuard } from './wllama-guard.ts';

/** Absolute URLs. */
export interface WllamaAssets extends WasmUrls {
  /** The script of the Asyncify build; not there if the site left that build out. */
  compatWorker?: string;
}

/** What the speeds that were measured hold for. */
const ENGINE_BUILD = `${Wllama.getLibllamaVersion()} ${__LLAMATAB_VERSION__} ${__LLAMATAB_KERNELS__} ${__LLAMATAB_GPU_GLUE__}`;

/**
 * wllama's own store of downloads, which is never asked: models come as Blobs. Its default needs OPFS, and a browser without
 * (WebKitGTK 2.50, private windows of Safari) could not have an engine at all.
 */
const NO_CACHE = new CacheManager([
  {
    isSupported: () => true,
    read: async () => null,
    write: async () => {},
    getSize: async () => -1,
    list: async () => [],
    delete: async () => {},
  },
]);

export function createWllamaEngine(assets: WllamaAssets, options: EngineOptions = {}): Engine {
  /** Of models whose template llama.cpp could not parse, by their first file: once they are loaded, it is not tried again. */
  const templateFaults = new WeakMap<Blob, string>();
  const load: LoadInstance = async (model, pooling, plan, patience, signal) => {
    const [file] = model.files;
    const known = file && templateFaults.get(file);
    try {
      return await loadModel(model, pooling, plan, assets, patience, known ?? null, signal);
    } catch (error) {
      if (!(error instanceof TemplateFault) || file === undefined) throw error;
      templateFaults.set(file, error.message);
      return loadModel(model, pooling, plan, assets, patience, error.message, signal);
    }
  };
  return createPlannedEngine(load, assets, ENGINE_BUILD, options);
}

/** Why llama.cpp can't parse a model's chat template: the only thing that keeps it from loading the model. */
class TemplateFault extends Error {}

/** @param templateFault Of the model's own template, in place of which it gets ChatML; null to try it. */
async function loadModel(
  model: EngineModel,
  pooling: boolean,
  plan: DevicePlan,
  assets: WllamaAssets,
  patience: Patience,
  templateFault: string | null,
  signal?: AbortSignal,
): Promise<Instance> {
  signal?.throwIfAborted();
  const guard = new WllamaGuard();
  const weights = await countWeights(model.files);
  const wllama = new Wllama({ default: plan.wasm }, { logger: guard.logger, cacheManager: NO_CACHE });
  // What hears computes its spectrograms in threads of its own.
  const hears = await hasEar(model);
  const threads = hears && globalThis.crossOriginIsolated ? Math.max(2, plan.threads) : plan.threads;
  const draft = plan.drafting === 'model' && model.draft !== undefined ? [{ name: DRAFT_FILE, blob: model.draft }] : [];
  guard.attach(wllama, { spareThreads: hears ? SPECTROGRAM_THREADS : 0, files: draft });
  const compatWasm = plan.compat ? plan.wasm : assets.compatWasm;
  // Null, because by itself wllama would fetch that build from a CDN.
  wllama.setCompat(assets.compatWorker && compatWasm ? { worker: assets.compatWorker, wasm: compatWasm } : null);
  const onAbort = () => guard.lose(LlamatabError.from(signal?.reason));
  signal?.addEventListener('abort', onAbort, { once: true });
  const loadWatchdog = new Watchdog((seconds) =>
    guard.lose(`The model ${model.id} was not loaded within ${seconds} seconds, far longer than this device takes.`),
  );
  const endOfLoad = loadWatchdog.watch(patience.load);

  try {
    const loading = wllama.loadModel(model.files, {
      n_ctx: plan.contextSize * plan.slots,
      ctx_shift: plan.contextShift,
      n_parallel: plan.slots,
      // Each slot has its own share: with a shared cache, one that fills up fails every request under way.
      kv_unified: false,
      n_batch: plan.batchSize,
      n_ubatch: plan.microBatchSize,
      n_threads: threads,
      n_gpu_layers: plan.gpuLayers,
      cache_type_k: plan.kvCacheType,
      cache_type_v: plan.kvCacheType,
      flash_attn: plan.flashAttention,
      ...drafting(plan),
      ...(templateFault === null ? {} : { chat_template: 'chatml' }),
      ...(model.kind === 'embedding'
        ? { embeddings: true, ...(pooling ? {} : { pooling_type: model.pooling ?? 'mean' }) }
        : {}),
    });
    await Promise.race([loading, guard.lost.then((reason) => Promise.reject(reason))]);
    // A model that can't be loaded is no error to wllama.
    const { n_vocab, success } = wllama.getLoadedContextInfo() as { n_vocab: number; success?: boolean };
    if (!success || !(n_vocab > 0)) throw new LlamatabError('server_error', loadFailure(model, plan, guard.log));
  } catch (error) {
    await wllama.exit();
    signal?.throwIfAborted();
    const fault = templateFault === null ? findTemplateFault(guard.log) : null;
    if (fault !== null) throw new TemplateFault(fault);
    if (error instanceof LlamatabError && !(error instanceof EngineLost)) throw error;
    const failure = loadFailure(model, plan, guard.log, error, guard.reason);
    // wllama's own calls fail first, where its worker does.
    throw guard.reason instanceof EngineLost ? new EngineLost(failure) : new LlamatabError('server_error', failure);
  } finally {
    endOfLoad();
    signal?.removeEventListener('abort', onAbort);
  }

  guard.callLimit = patience.step;
  const info = { ...loadedInfo(wllama, plan, guard), ...weights, templateFault };
  const queue = createAdmissionQueue(plan.slots);
  /** A slot; of an engine that is lost, there are none. */
  const acquire = async (claim: Claim) => {
    const release = await queue.acquire(claim);
    if (guard.reason === null) return release;
    release();
    throw guard.reason;
  };
  let decodes = 0;
  let busySlots = 0;
  guard.onStep = () => {
    decodes++;
    busySlots += queue.processing;
  };
  return {
    info,
    lost: guard.lost,
    get workload() {
      return { processing: queue.processing, deferred: queue.deferred, decodes, busySlots };
    },
    async *complete(request) {
      // A GPU sums in another order when rows of several requests are computed at once.
      const alone = request.alone === true || (request.reproducible === true && info.gpu !== null);
      const release = await acquire({ ...request, alone });
      try {
        request.onStarted?.();
        yield* complete(guard, request);
      } finally {
        release();
      }
    },
    async embed(request) {
      const release = await acquire(request);
      try {
        return await embed(guard, request);
      } finally {
        release();
      }
    },
    async rerank(request) {
      const release = await acquire(request);
      try {
        return await rerank(guard, request);
      } finally {
        release();
      }
    },
    async *speak(request) {
      const release = await acquire(request);
      try {
        yield* speak(guard, request);
      } finally {
        release();
      }
    },
    async *converse(request) {
      const release = await acquire(request);
      try {
        yield* converse(guard, request);
      } finally {
        release();
      }
    },
    unload: () => guard.lose(new LlamatabError('unavailable_error', `The model ${model.id} was unloaded.`)),
  };
}

/** llama.cpp's numbers: `common_speculative_type`. */
const SPECULATIVE_TYPES = { none: 0, model: 1, lookup: 6 };

const DRAFT_FILE = 'draft.gguf';

/** In the log, of a draft of another vocabulary, say: the model is loaded without. */
const NO_DRAFTING = /failed to initialize speculative decoding/;

/**
 * Tokens that a model drafts at once, llama.cpp's default: each is computed by the draft model alone, and is right only if all
 * before it are.
 */
const MODEL_DRAFTS = 3;

/** The kind has no parameter in wllama: src/kernels/drafting.ts gives it this one's. */
function drafting({ drafting: kind, gpuLayers }: DevicePlan): LoadModelParams {
  if (kind === 'none') return {};
  return {
    spec_draft_threads_batch: SPECULATIVE_TYPES[kind],
    ...(kind === 'model'
      ? {
          spec_draft_model: `models/${DRAFT_FILE}`,
          spec_draft_n_max: MODEL_DRAFTS,
          spec_draft_ngl: gpuLayers,
        }
      : {}),
  };
}

async function* complete(
  guard: WllamaGuard,
  { kind, body, files = [], signal, onAccepted }: CompletionRequest,
): AsyncGenerator<Json> {
  const isTranscription = kind === 'transcription';
  const task = await guard.action('completion', {
    is_chat: kind === 'chat',
    is_asr: isTranscription,
    data_json: JSON.stringify(isTranscription ? asForm(body) : body),
    files,
  });
  for await (const { data } of results(guard, task.req_id, signal, onAccepted)) {
    if (Array.isArray(data)) yield* data;
    else yield data as Json;
  }
}

/** llama.cpp takes these of a transcription as a form has them: as texts. */
function asForm({ stream, temperature, ...body }: Json): Json {
  return {
    ...body,
    stream: `${stream === true}`,
    ...(temperature === undefined ? {} : { temperature: `${temperature}` }),
  };
}

async function embed(
  guard: WllamaGuard,
  { input, files = [], normalize, signal }: EmbeddingRequest,
): Promise<EmbeddingResult> {
  const task = await guard.action('embedding', {
    data_json: JSON.stringify({ input, embd_normalize: normalize }),
    files,
  });
  for await (const { data } of results(guard, task.req_id, signal)) {
    const { data: list, usage } = data as { data: [{ embedding: number[] }]; usage: { prompt_tokens: number } };
    return { embedding: list[0].embedding, tokens: usage.prompt_tokens };
  }
  throw new LlamatabError('server_error', 'llama.cpp ended without an embedding.');
}

async function rerank(guard: WllamaGuard, { query, document, signal }: RerankRequest): Promise<RerankResult> {
  const task = await guard.action('rerank', { data_json: JSON.stringify({ query, document }) });
  for await (const { data } of results(guard, task.req_id, signal)) {
    const { score, tokens_evaluated } = data as { score: number; tokens_evaluated: number };
    return { score, tokens: tokens_evaluated };
  }
  throw new LlamatabError('server_error', 'llama.cpp ended without a score.');
}

async function* speak(
  guard: WllamaGuard,
  { body, speaker, format, signal, onAccepted }: SpeechRequest,
): AsyncGenerator<SpeechChunk> {
  const isStream = format === 'samples';
  const task = await guard.action('tts', {
    data_json: JSON.stringify({ ...body, stream: isStream, response_format: isStream ? 'pcm' : 'wav' }),
    files: speaker === undefined ? [] : [speaker],
  });
  for await (const { data, bytes } of results(guard, task.req_id, signal, onAccepted)) {
    // A view of the message that they came in.
    yield { audio: bytes.slice(), sampleRate: (data as { sample_rate: number }).sample_rate };
  }
}

/** What `get_result` gives: JSON, and the bytes that come beside it, if any. */
interface TaskResult {
  data: unknown;
  bytes: Uint8Array;
}

/** The results of one task. Each poll computes one step for all tasks; leaving the loop cancels this one. */
async function* results(
  guard: WllamaGuard,
  requestId: number,
  signal?: AbortSignal,
  onAccepted?: () => void,
): AsyncGenerator<TaskResult> {
  const poll = () => guard.action('get_result', { req_id: requestId });
  let pending = poll();
  let ended = false;
  try {
    while (!ended) {
      const { data_json, data_raw, has_more, is_error } = await pending;
      ended = !has_more;
      signal?.throwIfAborted();
      // The first step checks what only llama.cpp can: the prompt's length in tokens, a grammar.
      if (!is_error) onAccepted?.();
      // Asked for before this result is handed on, so that the engine does not wait for us.
      if (has_more) pending = poll();
      // Nothing yet, or the mark of a stream's beginning.
      if (data_json === '' || data_json === 'null') continue;
      const data = JSON.parse(data_json);
      if (is_error) throw toError(data);
      yield { data, bytes: data_raw };
    }
  } finally {
    pending.catch(() => {});
    // What cancelling could fail of, ends the request as well.
    if (!ended) await guard.action('cancel', { req_id: requestId }).catch(() => {});
  }
}

/** llama.cpp's, for each sound. In the single-threaded build they crash it. */
const SPECTROGRAM_THREADS = 4;

/** Whether one of the model's files is a projector for sounds. */
async function hasEar({ files }: EngineModel): Promise<boolean> {
  const projector = files.length > 1 ? files.at(-1) : undefined;
  return projector !== undefined && (await readGgufHeader(projector)).metadata.get('clip.has_audio_encoder') === true;
}

function loadedInfo(
  wllama: Wllama,
  plan: DevicePlan,
  guard: WllamaGuard,
): Omit<LoadedModelInfo, 'nParams' | 'tensorBytes' | 'templateFault'> {
  const info = wllama.getLoadedContextInfo();
  return {
    plan: {
      ...plan,
      threads: wllama.getNumThreads(),
      compat: guard.compat,
      drafting: guard.log.some((line) => NO_DRAFTING.test(line)) ? 'none' : plan.drafting,
    },
    build: Wllama.getLibllamaVersion(),
    gpu: gpuOf(guard.log),
    nVocab: info.n_vocab,
    nCtxTrain: info.n_ctx_train,
    nEmbd: info.n_embd,
    nLayer: info.n_layer,
    metadata: info.metadata,
    bosToken: info.token_bos,
    eosToken: info.token_eos,
    media: {
      image: info.has_image_input,
      audio: info.has_audio_input && wllama.isMultithread(),
      marker: (info as { media_marker?: string }).media_marker ?? '',
    },
    sound: {
      inputRate: info.audio_input_rate,
      outputRate: info.audio_output_rate,
      voices: info.audio_voices,
      realtime: info.has_audio_stream,
      liveTranscription: info.has_live_asr,
    },
  };
}

/** Which layers went to which device is only in llama.cpp's log. */
function gpuOf(log: string[]): LoadedModelInfo['gpu'] {
  for (const line of log) {
    const [, layers] = /offloaded (\d+)\/\d+ layers to GPU/.exec(line) ?? [];
    if (layers === undefined || layers === '0') continue;
    const device = log
      .map((other) => /assigned to device ([^,]+)/.exec(other)?.[1])
      .find((name) => name && name !== 'CPU');
    return { layers: Number(layers), device: device ?? 'WebGPU' };
  }
  return null;
}

/**
 * What a person can make of a failed load: llama.cpp's own first error, if it gave one; the later ones follow from it.
 * @param lost why the engine was given up meanwhile: wllama's own calls then fail first, and don't know why.
 */
function loadFailure(
  model: EngineModel,
  plan: DevicePlan,
  log: string[],
  error?: unknown,
  lost: Error | null = null,
): string {
  const lines = error instanceof Error ? [...log, error.message] : log;
  const forbidden = lines.map(remedyOfMessage).find((remedy) => remedy !== null);
  if (forbidden) return `The engine ${plan.wasm} could not be started. ${forbidden}`;
  const compilation = lines.find((line) => /CompileError|prepare wasm/.test(line));
  if (compilation) {
    return `The engine ${plan.wasm} could not be started: ${compilation.trim()}. Is the file there, and served as it is?`;
  }
  // That there is no GPU is an error to ggml only.
  const reason = lines.find((line) => /error|failed|unable|cannot/i.test(line) && !/webgpu/i.test(line));
  return `The model ${model.id} could not be loaded: ${reason?.trim() ?? lost?.message ?? 'the engine gave no reason'}`;
}
