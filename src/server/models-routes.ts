/** The models: what there is, what is loaded, and llama-server's router routes to load, unload and watch. */
import type { Json, LoadedModel, LoadedModelInfo } from '../engine/engine.ts';
import type { Catalog, CatalogModel, DownloadProgress } from '../models/models.ts';
import { type BodyFormat, bodyOf, JSON_HEADERS } from './answer.ts';
import { abortWith, hasCapability, type ServerContext, unixSeconds } from './context.ts';
import { fileTypeName, vocabularyType } from './gguf-names.ts';
import { readBody } from './json.ts';
import { mediaSupport } from './media.ts';
import { defaultName, findModel } from './model-names.ts';
import type { ModelState } from './model-router.ts';
import { DEFAULT_PING_INTERVAL } from './params.ts';
import { EVENT_STREAM_HEADERS, encodeEvent, PING } from './sse.ts';

// --- GET /models, GET /v1/models/:id -------------------------------------------------------------------------------

export async function listModels(context: ServerContext): Promise<Response> {
  const catalog = await context.models.catalog();
  return json({
    models: catalog.models.map(describeOldStyle),
    object: 'list',
    data: catalog.models.map((model) => describeModel(model, catalog, context)),
  });
}

/** OpenAI's clients call it; llama-server has no such route. */
export async function getModel(id: string, context: ServerContext): Promise<Response> {
  const catalog = await context.models.catalog();
  return json(describeModel(findModel(catalog, id, context.naming), catalog, context));
}

/** llama-server's entry; `name`, `default`, `capabilities`, `size` and what `status` holds beside `value` are ours. */
function describeModel(model: CatalogModel, catalog: Catalog, context: ServerContext): Json {
  const state = context.router.state(model.id);
  return {
    id: model.id,
    aliases: model.aliases ?? [],
    tags: [],
    object: 'model',
    created: unixSeconds(context),
    owned_by: 'llamacpp',
    architecture: { input_modalities: inputsOf(model), output_modalities: ['text'] },
    status: describeState(model, state),
    meta: state.value === 'loaded' ? describeMeta(model, state.model.info) : null,
    name: model.name,
    default: [model.id, ...(model.aliases ?? [])].includes(defaultName(catalog, context.naming)),
    capabilities: model.capabilities,
    size: sizeOf(model),
  };
}

function inputsOf(model: CatalogModel): string[] {
  const { image, audio } = mediaSupport(model);
  return ['text', ...(image ? ['image'] : []), ...(audio ? ['audio'] : [])];
}

/** Bytes of the whole download. */
function sizeOf(model: CatalogModel): number {
  return model.files.reduce((sum, file) => sum + file.size, 0);
}

function describeState(model: CatalogModel, state: ModelState): Json {
  switch (state.value) {
    case 'unloaded':
      return { value: 'unloaded', ...(state.error && { failed: true, error: state.error.message }) };
    case 'downloading':
      return { value: 'downloading', progress: progressByFile(model, state.progress) };
    case 'loading':
      return { value: 'loading' };
    case 'loaded':
      return { value: 'loaded', runtime: describeRuntime(state.model) };
  }
}

/** `ModelRuntime` of the public API. */
function describeRuntime({ info: { plan, gpu, build }, tuning }: LoadedModel): Json {
  return {
    threads: plan.threads,
    gpu: gpu?.device ?? null,
    compat: plan.compat,
    variant: plan.variant,
    contextSize: plan.contextSize,
    slots: plan.slots,
    kvCacheType: plan.kvCacheType,
    build,
    source: tuning.source,
    measured: tuning.measured,
  };
}

/**
 * llama-server tells the progress of each file; the store that of the model, whose files it fetches in order. The speed,
 * bytes a second, is the current file's.
 */
function progressByFile(model: CatalogModel, { loaded, speed }: DownloadProgress): Json {
  let before = 0;
  const files = model.files.map(({ name, size }): [string, Json] => {
    const done = Math.min(size, Math.max(0, loaded - before));
    const isCurrent = loaded >= before && loaded < before + size;
    before += size;
    return [name, { done, total: size, speed: isCurrent ? speed : 0 }];
  });
  return Object.fromEntries(files);
}

function describeMeta(model: CatalogModel, { plan, nVocab, nCtxTrain, nEmbd, metadata }: LoadedModelInfo): Json {
  const parameterCount = Number(metadata['general.parameter_count']);
  return {
    vocab_type: vocabularyType(metadata['tokenizer.ggml.model']),
    n_vocab: nVocab,
    n_ctx: plan.contextSize,
    n_ctx_train: nCtxTrain,
    n_embd: nEmbd,
    n_params: Number.isSafeInteger(parameterCount) ? parameterCount : null,
    size: sizeOf(model),
    ftype: fileTypeName(metadata['general.file_type']),
  };
}

/** Ollama's shape, which llama-server lists too. */
function describeOldStyle(model: CatalogModel): Json {
  return {
    name: model.id,
    model: model.id,
    modified_at: '',
    size: '',
    digest: '',
    type: 'model',
    description: '',
    tags: [''],
    capabilities: ['completion', ...(hasCapability(model, 'vision') ? ['multimodal'] : [])],
    parameters: '',
    details: {
      parent_model: '',
      format: 'gguf',
      family: '',
      families: [''],
      parameter_size: '',
      quantization_level: '',
    },
  };
}

// --- POST /models/load, POST /models/unload, GET /models/sse --------------------------------------------------------

/** Answers when the load has been started; `/models/sse` tells how it goes. */
export async function loadModel(request: Request, context: ServerContext): Promise<Response> {
  context.router.load(await modelOfBody(request, context));
  return json({ success: true });
}

export async function unloadModel(request: Request, context: ServerContext): Promise<Response> {
  context.router.unload(await modelOfBody(request, context));
  return json({ success: true });
}

async function modelOfBody(request: Request, context: ServerContext): Promise<CatalogModel> {
  const body = await readBody(request);
  return findModel(await context.models.catalog(), body.model, context.naming);
}

/** llama-server's events of the models' states and downloads; first of all the current state of each model. */
export async function watchModels(request: Request, context: ServerContext): Promise<Response> {
  const { models } = await context.models.catalog();
  const abort = abortWith(request);
  const events = stateEvents(models, context, abort.signal);
  return new Response(bodyOf(events, MODEL_EVENTS, DEFAULT_PING_INTERVAL, abort), { headers: EVENT_STREAM_HEADERS });
}

const MODEL_EVENTS: BodyFormat<string> = { result: (event) => event, error: encodeEvent, end: '', ping: PING };

async function* stateEvents(
  models: CatalogModel[],
  { router }: ServerContext,
  signal: AbortSignal,
): AsyncGenerator<string> {
  /** Of each model, its latest state that was not sent yet: a slow reader skips what is history. */
  const pending = new Map<CatalogModel, ModelState>(models.map((model) => [model, router.state(model.id)]));
  /** Models whose download was announced: what follows is progress. */
  const downloading = new Set<CatalogModel>();
  let wake = () => {};
  const unsubscribe = router.subscribe((model, state) => {
    pending.delete(model);
    pending.set(model, state);
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted) {
      const [next] = pending;
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const [model, state] = next;
      pending.delete(model);
      const { value, progress, ...details } = describeState(model, state);
      if (!downloading.has(model) || value !== 'downloading') {
        yield modelEvent(model, 'model_status', { status: value, ...details });
      }
      if (value === 'downloading') downloading.add(model);
      else downloading.delete(model);
      if (progress !== undefined) yield modelEvent(model, 'download_progress', progress);
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    unsubscribe();
  }
}

function modelEvent(model: CatalogModel, event: string, data: unknown): string {
  return encodeEvent({ model: model.id, event, data });
}

export function json(value: Json): Response {
  return new Response(JSON.stringify(value), { headers: JSON_HEADERS });
}
