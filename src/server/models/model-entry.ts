/** Models as the routes list them: llama-server's entries, plus what a browser's store knows. */
import type { Json, LoadedModelInfo } from '../../engine/engine.ts';
import { fileTypeName, vocabularyType } from '../../gguf/names.ts';
import type { FileProgress, ModelEntry, ModelFiles, ModelMeta, ModelRuntime, ModelState } from '../../model-status.ts';
import type { Catalog, CatalogModel, DownloadProgress, ModelStatus } from '../../models/models.ts';
import { hasCapability, mediaSupport } from '../state/capabilities.ts';
import { type ServerContext, unixSeconds } from '../state/context.ts';
import { defaultName } from '../state/model-names.ts';
import type { ModelState as PoolState } from '../state/model-pool.ts';

/**
 * llama-server's entry, and from `name` on ours.
 * @param stored What this device has of the model.
 */
export function modelEntry(stored: ModelStatus, catalog: Catalog, context: ServerContext): ModelEntry {
  const { model } = stored;
  const state = context.pool.state(model.id);
  const { licenseUrl, homepage, source } = model;
  return {
    id: model.id,
    // The id first: as in llama-server, all names by which it can be asked for.
    aliases: [model.id, ...(model.aliases ?? [])],
    tags: model.tags ?? [],
    object: 'model',
    created: unixSeconds(context),
    owned_by: 'llamacpp',
    architecture: { input_modalities: inputsOf(model), output_modalities: outputsOf(model) },
    source: source?.kind ?? 'site',
    can_remove: source !== undefined || stored.state !== 'absent',
    status: statusEntry(stored, state),
    meta: state.value === 'loaded' ? metaEntry(state.model.info) : null,
    name: model.name,
    default: [model.id, ...(model.aliases ?? [])].includes(defaultName(catalog, context.naming)),
    capabilities: model.capabilities,
    size: sizeOf(model),
    contextLength: model.contextLength,
    authors: model.authors,
    license: model.license,
    ...(licenseUrl === undefined ? {} : { licenseUrl }),
    ...(homepage === undefined ? {} : { homepage }),
    files: filesEntry(stored, context.work.progress(model.id)),
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

type LoadedState = Extract<PoolState, { value: 'loaded' }>;

/** llama-server's `status`. */
export function statusEntry(stored: ModelStatus, state: PoolState): ModelState {
  const { model } = stored;
  switch (state.value) {
    case 'unloaded':
    case 'sleeping': {
      // It is being downloaded by itself, not for a request that waits to load it.
      if (stored.download) return { value: 'downloading', progress: progressByFile(model, stored.download) };
      const error = (state.value === 'unloaded' ? state.error : undefined) ?? stored.error;
      return { value: state.value, ...(error && { failed: true, error: error.message }) };
    }
    case 'downloading':
      return { value: 'downloading', progress: progressByFile(model, state.progress) };
    case 'loading':
      return { value: 'loading' };
    case 'loaded':
      return { value: 'loaded', runtime: runtimeEntry(state) };
  }
}

/** @param work A check of the files that is under way; a download is in the status itself. */
export function filesEntry(
  { model, state, loaded, total, pinned, lastUsed, kept, download }: ModelStatus,
  work?: DownloadProgress,
): ModelFiles {
  const under = work ?? download;
  const names = model.files.map(({ name }) => name);
  return { state, loaded, total, names, pinned, lastUsed, kept, ...(under ? { work: under } : {}) };
}

function runtimeEntry({ model, memory, restart }: LoadedState): ModelRuntime {
  const { plan, gpu, build } = model.info;
  const { tuning } = model;
  return {
    threads: plan.threads,
    gpu: gpu?.device ?? null,
    gpuNote: plan.gpuNote,
    compat: plan.compat,
    variant: plan.variant,
    contextSize: plan.contextSize,
    contextNote: plan.contextNote,
    slots: plan.slots,
    kvCacheType: plan.kvCacheType,
    memory,
    build,
    source: tuning.source,
    measured: tuning.measured,
    restartNote: restart === null ? null : restart.reason,
  };
}

/**
 * llama-server reports the progress of each file; the store only that of the whole model, whose files it fetches in
 * order. The speed, in bytes a second, is the current file's.
 */
function progressByFile(model: CatalogModel, { loaded, speed }: DownloadProgress): FileProgress {
  let before = 0;
  const files = model.files.map(({ name, size }): [string, FileProgress[string]] => {
    const done = Math.min(size, Math.max(0, loaded - before));
    const isCurrent = loaded >= before && loaded < before + size;
    before += size;
    return [name, { done, total: size, speed: isCurrent ? speed : 0 }];
  });
  return Object.fromEntries(files);
}

function metaEntry(info: LoadedModelInfo): ModelMeta {
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

/** Ollama's format, which llama-server lists too. */
export function ollamaEntry(model: CatalogModel): Json {
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
