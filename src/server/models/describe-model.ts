/** Models as the routes list them: llama-server's entries, and what a browser's store knows beside. */
import type { Json, LoadedModel, LoadedModelInfo } from '../../engine/engine.ts';
import { fileTypeName, vocabularyType } from '../../gguf/gguf-names.ts';
import type { Catalog, CatalogModel, DownloadProgress, ModelStatus } from '../../models/models.ts';
import { mediaSupport } from '../chat/media.ts';
import { hasCapability, type ServerContext, unixSeconds } from '../state/context.ts';
import { defaultName } from '../state/model-names.ts';
import type { ModelState } from '../state/model-router.ts';

/**
 * llama-server's entry. From `name` on it is ours, as is what `status` holds beside `value`, `progress`, `failed`.
 *
 * @param files Of the model, on this device.
 */
export function describeModel(files: ModelStatus, catalog: Catalog, context: ServerContext): Json {
  const { model } = files;
  const state = context.router.state(model.id);
  const { licenseUrl, homepage, source } = model;
  return {
    id: model.id,
    aliases: model.aliases ?? [],
    tags: [],
    object: 'model',
    created: unixSeconds(context),
    owned_by: 'llamacpp',
    architecture: { input_modalities: inputsOf(model), output_modalities: outputsOf(model) },
    source: source?.kind ?? 'site',
    can_remove: source !== undefined || files.state !== 'absent',
    status: describeState(files, state),
    meta: state.value === 'loaded' ? describeMeta(state.model.info) : null,
    name: model.name,
    default: [model.id, ...(model.aliases ?? [])].includes(defaultName(catalog, context.naming)),
    capabilities: model.capabilities,
    size: sizeOf(model),
    contextLength: model.contextLength,
    authors: model.authors,
    license: model.license,
    ...(licenseUrl === undefined ? {} : { licenseUrl }),
    ...(homepage === undefined ? {} : { homepage }),
    files: describeFiles(files, context.work.progress(model.id)),
  };
}

function inputsOf(model: CatalogModel): string[] {
  const { image, audio } = mediaSupport(model);
  return ['text', ...(image ? ['image'] : []), ...(audio ? ['audio'] : [])];
}

function outputsOf(model: CatalogModel): string[] {
  return ['text', ...(hasCapability(model, 'speech') ? ['audio'] : [])];
}

/** Bytes of the whole download. */
function sizeOf(model: CatalogModel): number {
  return model.files.reduce((sum, file) => sum + file.size, 0);
}

/** llama-server's `status`. */
export function describeState(files: ModelStatus, state: ModelState): Json {
  const { model } = files;
  switch (state.value) {
    case 'unloaded':
    case 'sleeping': {
      // Somebody downloads it without asking for it to be loaded.
      if (files.download) return { value: 'downloading', progress: progressByFile(model, files.download) };
      const error = (state.value === 'unloaded' ? state.error : undefined) ?? files.error;
      return { value: state.value, ...(error && { failed: true, error: error.message }) };
    }
    case 'downloading':
      return { value: 'downloading', progress: progressByFile(model, state.progress) };
    case 'loading':
      return { value: 'loading' };
    case 'loaded':
      return { value: 'loaded', runtime: describeRuntime(state.model, state.memory) };
  }
}

/** `ModelFiles` of the public API. @param work What reads or writes them just now, if it is no download. */
export function describeFiles(
  { model, state, loaded, total, pinned, lastUsed, kept, download }: ModelStatus,
  work?: Json,
): Json {
  const under = work ?? download;
  const names = model.files.map(({ name }) => name);
  return { state, loaded, total, names, pinned, lastUsed, kept, ...(under ? { work: under } : {}) };
}

/** `ModelRuntime` of the public API. */
function describeRuntime({ info: { plan, gpu, build }, tuning }: LoadedModel, memory: number): Json {
  return {
    threads: plan.threads,
    gpu: gpu?.device ?? null,
    compat: plan.compat,
    variant: plan.variant,
    contextSize: plan.contextSize,
    slots: plan.slots,
    kvCacheType: plan.kvCacheType,
    memory,
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

function describeMeta(info: LoadedModelInfo): Json {
  const { plan, metadata } = info;
  return {
    vocab_type: vocabularyType(metadata['tokenizer.ggml.model']),
    n_vocab: info.nVocab,
    n_ctx: plan.contextSize,
    n_ctx_train: info.nCtxTrain,
    n_embd: info.nEmbd,
    n_params: info.nParams,
    size: info.tensorBytes,
    ftype: fileTypeName(metadata['general.file_type']),
  };
}

/** Ollama's shape, which llama-server lists too. */
export function describeOldStyle(model: CatalogModel): Json {
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
