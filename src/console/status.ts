/** Puts the server's status into words: what the model is doing, and what runs where. */
import type { ModelStatus, Server, ServerStatus } from '../index.ts';
import { formatBytesOf, formatProgress, formatRate, percentOf } from './parts/format.ts';

type Runtime = NonNullable<ModelStatus['runtime']>;

/** How far `serve()` is: under way, done, or failed with `problem`. */
export interface Connection {
  server?: Server;
  status?: ServerStatus;
  problem?: string;
  /** Whether any model has been requested yet. The default model is, a moment after the server has started. */
  begun: boolean;
}

/** The state of the chat's model, as a person should see it. */
export interface ModelState {
  kind: 'starting' | 'idle' | 'preparing' | 'downloading' | 'loading' | 'ready' | 'failed';
  /** A word or two, where there is little room. */
  label: string;
  /** What happened, with `failed`. */
  title?: string;
  /** Numbers, or what went wrong. */
  detail?: string;
  /** 0 to 100, if progress is known. */
  percent?: number;
}

export function describeModelState({ status, problem, begun }: Connection, model: ModelStatus | undefined): ModelState {
  if (problem !== undefined) return failed('llamatab could not start', problem);
  if (status?.state === 'stopped') return failed('The engine was stopped', 'Reload the page to start again.');
  if (status?.reload) return failed('This page has to be reloaded', status.reload);
  const starting: ModelState = { kind: 'starting', label: 'Starting' };
  if (model === undefined)
    return status?.modelsError ? failed('The models could not be listed', status.modelsError) : starting;

  switch (model.state) {
    case 'loaded':
      return { kind: 'ready', label: 'Ready' };
    case 'loading':
      return { kind: 'loading', label: 'Loading into memory' };
    case 'available':
      return begun ? { kind: 'idle', label: 'Not loaded' } : starting;
    case 'failed':
      return failed('The model could not be loaded', model.error);
    case 'downloading':
      return describeDownload(model.progress ?? { loaded: 0, total: model.size, speed: 0 });
  }
}

function failed(title: string, detail = 'No reason was given.'): ModelState {
  return { kind: 'failed', label: 'Failed', title, detail };
}

/** A speed of 0 means that nothing is being fetched yet: the first bytes are awaited, or the stored ones are being checked. */
function describeDownload(progress: NonNullable<ModelStatus['progress']>): ModelState {
  const { loaded, total, speed } = progress;
  if (speed > 0) {
    return {
      kind: 'downloading',
      label: 'Downloading',
      detail: formatProgress(progress),
      percent: percentOf(loaded, total),
    };
  }
  const preparing: ModelState = { kind: 'preparing', label: 'Preparing' };
  return loaded > 0 && loaded < total
    ? { ...preparing, detail: formatBytesOf(loaded, total), percent: percentOf(loaded, total) }
    : preparing;
}

/** The models that can chat, the default one first. */
export function chatModels(models: readonly ModelStatus[]): ModelStatus[] {
  return models
    .filter((model) => model.capabilities.includes('chat'))
    .sort((a, b) => Number(b.default) - Number(a.default));
}

/** `SmolLM2 135M Instruct` for `SmolLM2 135M Instruct (Q4_1)`. */
export function shortName({ name }: ModelStatus): string {
  return name.replace(/\s*\([^)]*\)$/, '');
}

/** The line below the chat: `On this device · CPU, 2 threads · context 4096 · llama.cpp b11364`. */
export function describeRuntime(status: ServerStatus | undefined, model: ModelStatus | undefined): string {
  const runtime = model?.runtime;
  const elsewhere = status?.upstream ? `else at ${new URL(status.upstream.baseURL).host}` : null;
  if (!runtime) return `On this device · ${elsewhere ?? 'nothing you type leaves it'}`;
  const parts = ['On this device', elsewhere ?? [], describeCompute(runtime)].flat();
  if (runtime.gpu === null && status?.isolated === false) parts.push('page not isolated');
  if (runtime.compat) parts.push('compatibility build');
  parts.push(`context ${runtime.contextSize}`, `llama.cpp ${shortBuild(runtime.build)}`);
  if (status?.role === 'guest') parts.push("answered by another tab's engine");
  return parts.join(' · ');
}

/** `CPU, 2 threads`. */
export function describeCompute({ gpu, threads }: Runtime): string {
  return gpu === null ? `CPU, ${threads === 1 ? '1 thread' : `${threads} threads`}` : `WebGPU: ${gpu}`;
}

/** `b11364` for `b11364-0a1b2c3`. */
function shortBuild(build: string): string {
  return build.replace(/-.*/, '');
}

export interface Fact {
  term: string;
  value: string;
  /** An explanation, where the value alone says too little. May contain `code`, as may `term`. */
  hint?: string;
}

const VARIANT_NAMES: Record<Runtime['variant'], string> = {
  relaxed: 'WebAssembly with relaxed SIMD kernels',
  simd128: 'WebAssembly with SIMD kernels',
  stock: 'WebAssembly',
};

/** `llama.cpp b11364, WebAssembly with SIMD kernels`. */
export function describeEngine({ build, variant, compat }: Runtime): string {
  return `llama.cpp ${shortBuild(build)}, ${VARIANT_NAMES[variant]}${compat ? ', compatibility build' : ''}`;
}

const SOURCE_HINTS: Record<Runtime['source'], string> = {
  default: 'Measured on this device while it was idle, with the default settings.',
  measured: 'Measured on this device: no other setting was clearly faster.',
  overridden: 'Measured on this device while it was idle, with the settings that this site fixed.',
};

function describeSpeed(
  { prompt_per_second, predicted_per_second }: NonNullable<Runtime['measured']>,
  source: Runtime['source'],
): Fact {
  const prompt = formatRate(prompt_per_second);
  return {
    term: 'Speed',
    value: predicted_per_second === null ? prompt : `${formatRate(predicted_per_second)}, prompts ${prompt}`,
    hint: SOURCE_HINTS[source],
  };
}

function describeUpstream({ baseURL, answered, lastReason }: NonNullable<ServerStatus['upstream']>): Fact {
  return {
    term: 'What this device can’t do',
    value: `Goes to ${baseURL}`,
    hint:
      answered === 0
        ? 'Nothing has, since the engine was started.'
        : `${answered === 1 ? '1 answer' : `${answered} answers`} since the engine was started; the last reason: \`${lastReason}\`.`,
  };
}

/** The same in detail. */
export function listFacts(status: ServerStatus, model: ModelStatus | undefined): Fact[] {
  const facts: Fact[] = [];
  if (model) {
    facts.push({
      term: 'Model',
      value: model.name,
      hint: `${formatBytesOf(model.size, model.size).replace(/^.* of /, '')}, stored in this browser`,
    });
  }
  if (model?.runtime) {
    const { runtime } = model;
    facts.push(
      {
        term: 'Runs on',
        value: describeCompute(runtime),
        ...(runtime.gpuNote === null ? {} : { hint: runtime.gpuNote }),
      },
      {
        term: 'Engine',
        value: `llama.cpp ${runtime.build}, ${VARIANT_NAMES[runtime.variant]}`,
        ...(runtime.compat
          ? { hint: 'The compatibility build, for browsers without JSPI or 64-bit memory: slower.' }
          : {}),
      },
      {
        term: 'Context',
        value: `${runtime.contextSize} tokens, ${runtime.kvCacheType} KV cache`,
        hint: [
          runtime.slots === 1 ? 'One request at a time.' : `Up to ${runtime.slots} requests at a time.`,
          runtime.contextNote ?? [],
        ]
          .flat()
          .join(' '),
      },
    );
    if (runtime.restartNote !== null) facts.push({ term: 'Started again', value: runtime.restartNote });
    if (runtime.measured) facts.push(describeSpeed(runtime.measured, runtime.source));
  }
  facts.push(
    status.isolated
      ? { term: 'Isolation', value: 'Cross-origin isolated', hint: 'The engine may use several threads.' }
      : {
          term: 'Isolation',
          value: 'Not cross-origin isolated',
          hint: 'The engine has one thread. It gets more with headers from the host, or with `serve({ isolate: true })`.',
        },
    status.role === 'guest'
      ? { term: 'Answered by', value: "Another tab's engine", hint: 'This tab takes over when that one closes.' }
      : { term: 'Answered by', value: "This tab's engine", hint: 'Other tabs of this site use it too.' },
    ...(status.upstream ? [describeUpstream(status.upstream)] : []),
    status.intercepts
      ? { term: "`fetch('/v1/…')`", value: 'Answered on this device' }
      : { term: "`fetch('/v1/…')`", value: 'Not answered on this page', hint: status.interceptsNot ?? '' },
  );
  if (status.limits.length > 0) {
    facts.push({ term: 'This browser', value: 'Lacks what others have', hint: status.limits.join(' ') });
  }
  return facts;
}
