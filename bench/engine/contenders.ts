/** The contenders: wllama as published, our kernels at both levels, native llama.cpp; and how each is loaded. */
import type { LoadModelParams } from '@wllama/wllama/esm/index.js';
import type { NativeLlama } from './native.ts';
import type { OldEngine } from './old.ts';
import type { Completion, CompletionOptions, Embedding } from './protocol.ts';
import { type Build, type ModelFile, type Site, writeEngine } from './site.ts';

/** One model, loaded. */
export interface Engine {
  complete(prompts: string[], options: CompletionOptions): Promise<Completion[]>;
  embed(text: string): Promise<Embedding>;
  unload(): Promise<void>;
}

export interface EngineModel {
  kind: 'completion' | 'embedding';
  file: ModelFile;
}

export interface Contender {
  id: 'old' | 'wllama' | 'wllama-plan' | 'simd128' | 'relaxed' | 'native';
  name: string;
  load(model: EngineModel, threads: number): Promise<Engine>;
}

/** Requests at once, and the tokens of context for each. The longest prompts have 1,900 tokens. */
export const SLOTS = 4;
export const CONTEXT_SIZE = 2048;

/** wllama's defaults, except for the context: 1,024 tokens would not hold the longest prompts. */
function wllamaDefaults(kind: EngineModel['kind']): LoadModelParams {
  return kind === 'embedding' ? { embeddings: true } : { n_ctx: CONTEXT_SIZE };
}

/** What `src/engine/` makes of its device plan on a CPU. */
export function planned(kind: EngineModel['kind']): LoadModelParams {
  const [contextSize, batchSize] = kind === 'embedding' ? [512, 512] : [CONTEXT_SIZE, 256];
  return {
    n_ctx: contextSize * SLOTS,
    n_parallel: SLOTS,
    kv_unified: false,
    n_batch: batchSize,
    n_ubatch: batchSize,
    cache_type_k: 'q8_0',
    cache_type_v: 'q8_0',
    flash_attn: true,
    ...(kind === 'embedding' ? { embeddings: true } : {}),
  };
}

/** @param native null where native llama.cpp can't be run @param old null where none was asked for */
export function contenders(site: Site, native: NativeLlama | null, old: OldEngine | null): Contender[] {
  const inBrowser = (
    id: Contender['id'],
    name: string,
    build: Build | OldEngine,
    parameters: (kind: EngineModel['kind']) => LoadModelParams,
  ): Contender => ({
    id,
    name,
    async load(model, threads) {
      const origin = site.url.slice(0, -1);
      await site.call('load', id, {
        wasm: origin + (typeof build === 'string' ? writeEngine(build) : build.wasm),
        script: typeof build === 'string' ? null : origin + build.script,
        model: model.file.url,
        // This benchmark is about the CPU.
        parameters: { ...parameters(model.kind), n_threads: threads, n_gpu_layers: 0 },
      });
      return {
        complete: (prompts, options) => site.call('complete', id, prompts, options),
        embed: (text) => site.call('embed', id, text),
        unload: () => site.call('unload', id),
      };
    },
  });
  return [
    ...(old ? [inBrowser('old', `ours, relaxed SIMD, wllama ${old.version}`, old, planned)] : []),
    inBrowser('wllama', 'wllama, its defaults', 'published', wllamaDefaults),
    inBrowser('wllama-plan', 'wllama, our plan', 'published', planned),
    inBrowser('simd128', 'ours, SIMD128', 'simd128', planned),
    inBrowser('relaxed', 'ours, relaxed SIMD', 'relaxed', planned),
    ...(native ? [{ id: 'native' as const, name: 'native llama.cpp', load: native.load }] : []),
  ];
}
