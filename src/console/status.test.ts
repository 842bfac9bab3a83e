import { describe, expect, it } from 'vitest';
import type { ModelRuntime, ModelStatus, ServerStatus } from '../index.ts';
import { chatModels, describeModelState, describeRuntime, listFacts, shortName } from './status.ts';

const runtime: ModelRuntime = {
  threads: 2,
  gpu: null,
  gpuNote: null,
  compat: false,
  variant: 'simd128',
  contextSize: 4096,
  contextNote: null,
  restartNote: null,
  slots: 4,
  kvCacheType: 'q8_0',
  memory: 180_000_000,
  build: 'b11364-0a1b2c3',
  source: 'default',
  measured: null,
};
const model: ModelStatus = {
  id: 'smol',
  name: 'SmolLM2 135M Instruct (Q4_1)',
  default: true,
  aliases: [],
  capabilities: ['chat', 'completion'],
  size: 98_362_432,
  contextLength: 8192,
  authors: 'Hugging Face',
  license: 'Apache-2.0',
  source: 'site',
  files: {
    state: 'complete',
    loaded: 98_362_432,
    total: 98_362_432,
    names: ['model.gguf'],
    pinned: false,
    lastUsed: null,
    kept: 'disk',
  },
  state: 'loaded',
  runtime,
};
const status: ServerStatus = {
  state: 'ready',
  role: 'host',
  intercepts: true,
  isolated: true,
  limits: [],
  models: [model],
  modelsError: null,
  upstream: null,
  reload: null,
};
const plain = (text: string | undefined) => text?.replaceAll('\u00a0', ' ');

describe('describeModelState', () => {
  const describeState = (change: Partial<ModelStatus>) =>
    describeModelState({ begun: true, status }, { ...model, ...change });

  it('says downloading only while something is fetched', () => {
    const progress = { loaded: 48_200_000, total: 98_362_432, speed: 31_000_000 };
    const downloading = describeState({ state: 'downloading', progress });
    expect(downloading).toMatchObject({ kind: 'downloading', percent: 49 });
    expect(plain(downloading.detail)).toBe('48.2 of 98.4 MB · 49 % · 31 MB/s · 2 s left');
    const checking = describeState({ state: 'downloading', progress: { ...progress, speed: 0 } });
    expect(checking).toMatchObject({ kind: 'preparing', percent: 49 });
    expect(plain(checking.detail)).toBe('48.2 of 98.4 MB');
    expect(describeState({ state: 'downloading' })).toEqual({ kind: 'preparing', label: 'Preparing' });
  });

  it('knows every other state', () => {
    expect(describeModelState({ begun: false }, undefined).kind).toBe('starting');
    expect(describeState({ state: 'available' }).kind).toBe('idle');
    expect(describeModelState({ begun: false, status }, { ...model, state: 'available' }).kind).toBe('starting');
    expect(describeState({ state: 'loading' }).label).toBe('Loading into memory');
    expect(describeState({ state: 'loaded' }).kind).toBe('ready');
    expect(describeState({ state: 'failed', error: 'HTTP 404' })).toMatchObject({ kind: 'failed', detail: 'HTTP 404' });
  });

  it('puts a failure of the whole server first', () => {
    expect(describeModelState({ begun: false, problem: 'No secure context.' }, undefined)).toMatchObject({
      kind: 'failed',
      detail: 'No secure context.',
    });
    expect(describeModelState({ begun: true, status: { ...status, state: 'stopped' } }, model).kind).toBe('failed');
    const modelsError = 'Invalid API Key';
    expect(
      describeModelState({ begun: true, status: { ...status, models: [], modelsError } }, undefined),
    ).toMatchObject({
      kind: 'failed',
      detail: modelsError,
    });
  });
});

describe('chatModels', () => {
  it('leaves out what cannot chat, and puts the default first', () => {
    const other = { ...model, id: 'other', default: false };
    const embedder = { ...other, id: 'minilm', capabilities: ['embedding'] };
    expect(chatModels([other, embedder, model]).map(({ id }) => id)).toEqual(['smol', 'other']);
  });
});

it('shortens names by their quantization', () => {
  expect(shortName(model)).toBe('SmolLM2 135M Instruct');
});

describe('describeRuntime', () => {
  it('says what runs where', () => {
    expect(describeRuntime(status, model)).toBe('On this device · CPU, 2 threads · context 4096 · llama.cpp b11364');
    const single = { ...model, runtime: { ...runtime, threads: 1, compat: true } };
    expect(describeRuntime({ ...status, isolated: false, role: 'guest' }, single)).toBe(
      "On this device · CPU, 1 thread · page not isolated · compatibility build · context 4096 · llama.cpp b11364 · answered by another tab's engine",
    );
    const onGpu = { ...model, runtime: { ...runtime, gpu: 'Apple M2' } };
    expect(describeRuntime(status, onGpu)).toContain('WebGPU: Apple M2');
  });

  it('promises nothing that is not known yet, or not so', () => {
    expect(describeRuntime(undefined, undefined)).toBe('On this device · nothing you type leaves it');
    const upstream = { baseURL: 'https://llm.example/v1', answered: 0, lastReason: null };
    expect(describeRuntime({ ...status, upstream }, undefined)).toBe('On this device · else at llm.example');
    expect(describeRuntime({ ...status, upstream }, model)).toMatch(/^On this device · else at llm\.example · CPU/);
  });
});

describe('listFacts', () => {
  it('says why plain fetch is not answered', () => {
    const facts = listFacts({ ...status, intercepts: false, interceptsNot: 'No service workers here.' }, model);
    expect(facts.at(-1)).toMatchObject({ value: 'Not answered on this page', hint: 'No service workers here.' });
  });

  it('says what leaves the device', () => {
    const term = 'What this device can’t do';
    const factOf = (upstream: ServerStatus['upstream']) =>
      listFacts({ ...status, upstream }, model).find((fact) => fact.term === term);
    const upstream = { baseURL: 'https://llm.example/v1', answered: 0, lastReason: null };
    expect(factOf(null)).toBeUndefined();
    expect(factOf(upstream)).toMatchObject({
      value: 'Goes to https://llm.example/v1',
      hint: expect.stringMatching(/^Nothing has/),
    });
    expect(factOf({ ...upstream, answered: 1, lastReason: 'queue_full' })?.hint).toMatch(
      /^1 answer since.*`queue_full`/,
    );
  });

  it('tells the kernels, the KV cache and, once measured, the speed', () => {
    const factOf = (change: Partial<ModelRuntime>, wanted: string) => {
      const facts = listFacts(status, { ...model, runtime: { ...runtime, ...change } });
      return plain(facts.find(({ term }) => term === wanted)?.value);
    };
    expect(factOf({}, 'Engine')).toBe('llama.cpp b11364-0a1b2c3, WebAssembly with SIMD kernels');
    expect(factOf({ variant: 'stock' }, 'Engine')).toBe('llama.cpp b11364-0a1b2c3, WebAssembly');
    expect(factOf({}, 'Context')).toBe('4096 tokens, q8_0 KV cache');
    expect(factOf({}, 'Speed')).toBe(undefined);
    const measured = { prompt_per_second: 134, predicted_per_second: 61.25 };
    expect(factOf({ measured }, 'Speed')).toBe('61.3 tokens/s, prompts 134 tokens/s');
    expect(factOf({ measured: { ...measured, predicted_per_second: null } }, 'Speed')).toBe('134 tokens/s');
  });

  it('tells what the browser lacks', () => {
    const factOf = (limits: string[]) =>
      listFacts({ ...status, limits }, model).find(({ term }) => term === 'This browser');
    expect(factOf([])).toBeUndefined();
    expect(factOf(['No WebGPU.', 'No JSPI.'])).toMatchObject({ hint: 'No WebGPU. No JSPI.' });
  });

  it('says why the model is not on a GPU', () => {
    const gpuNote = 'WebGPU found no GPU.';
    const runsOn = (change: Partial<ModelRuntime>) =>
      listFacts(status, { ...model, runtime: { ...runtime, ...change } }).find(({ term }) => term === 'Runs on');
    expect(runsOn({ gpuNote })).toEqual({ term: 'Runs on', value: 'CPU, 2 threads', hint: gpuNote });
    expect(runsOn({})).not.toHaveProperty('hint');
  });

  it('says why there is less context than the site asked for', () => {
    const contextNote = 'The model was trained for less.';
    const facts = listFacts(status, { ...model, runtime: { ...runtime, contextNote } });
    expect(facts.find(({ term }) => term === 'Context')?.hint).toBe(`Up to 4 requests at a time. ${contextNote}`);
  });

  it('says why the engine was started again', () => {
    const restartNote = 'The GPU was lost: driver reset';
    const facts = listFacts(status, { ...model, runtime: { ...runtime, restartNote } });
    expect(facts).toContainEqual({ term: 'Started again', value: restartNote });
  });

  it('does without a model', () => {
    expect(listFacts(status, undefined).map(({ term }) => term)).not.toContain('Model');
  });
});
