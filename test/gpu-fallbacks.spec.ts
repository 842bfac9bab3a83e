/** Whatever is wrong with a GPU, a chat is answered, and one sentence says why it was not by the GPU. */
import type { Page } from '@playwright/test';
import { chat, expect, fetchIn, serveIn, test, user } from './support/fixtures.ts';
import { fakeGpu, inEngineWorkers } from './support/gpu.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

/** `navigator.gpu` of the engine's workers. */
const gpu = (value: string) =>
  `Object.defineProperty(Object.getPrototypeOf(navigator), 'gpu', { configurable: true, get: () => (${value}) })`;

/** A GPU whose adapter has these properties beside what a sound one has. */
const adapter = (properties: string) =>
  gpu(`{
    wgslLanguageFeatures: new Set(),
    requestAdapter: async () => ({
      features: new Set(['shader-f16']),
      limits: { maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 27 },
      info: { vendor: 'acme', architecture: 'one', device: '', description: '' },
      requestDevice: () => Promise.reject(new Error('no device')),
      ${properties}
    }),
  }`);

async function engine(page: Page) {
  const { json } = await fetchIn(page, '/v1/props?model=local');
  return json.engine as { gpu: unknown; gpuLayers: number; gpuNote: string | null; kvCacheType: string };
}

const FAULTS: Record<string, [script: string, note: RegExp]> = {
  'no WebGPU': [gpu('undefined'), /has no WebGPU in workers/],
  'no adapter': [gpu('{ wgslLanguageFeatures: new Set(), requestAdapter: async () => null }'), /found no GPU/],
  'an adapter that may not be asked for': [
    gpu("{ wgslLanguageFeatures: new Set(), requestAdapter: () => Promise.reject(new Error('blocked')) }"),
    /found no GPU/,
  ],
  'a software adapter': [adapter('isFallbackAdapter: true,'), /software adapter \(acme, one\)/],
  'no shader-f16': [adapter('features: new Set(),'), /no 16-bit floats.*vulkan_enable_f16_on_nvidia/],
  'a device that is refused': [adapter(''), /computed nothing right: no device/],
  'a device that is lost at once': [
    adapter(
      "requestDevice: async () => ({ lost: Promise.resolve({ message: 'driver reset' }), queue: { writeBuffer() {} }, createBuffer: () => ({}), createShaderModule: () => ({}), createComputePipelineAsync: () => new Promise(() => {}), destroy() {} }),",
    ),
    /the device was lost: driver reset/,
  ],
  'shader-f16 that is claimed only': [
    adapter(
      "requestDevice: async () => ({ lost: new Promise(() => {}), queue: { writeBuffer() {} }, createBuffer: () => ({}), createShaderModule: () => ({}), createComputePipelineAsync: () => Promise.reject(new Error('f16 is not enabled')), destroy() {} }),",
    ),
    /f16 is not enabled/,
  ],
};

for (const [fault, [script, note]] of Object.entries(FAULTS)) {
  test(`${fault}: the CPU answers`, async ({ page, site }) => {
    inEngineWorkers(site, script);
    await serveIn(page, site, { engine: { measure: false } });
    expect(await chat(page, question)).toHaveLength(8);
    const { gpuNote, ...rest } = await engine(page);
    expect(rest).toMatchObject({ gpu: null, gpuLayers: 0, kvCacheType: 'q8_0' });
    expect(gpuNote).toMatch(note);
    // And so it does for a site that wants the GPU; a software adapter it would get.
    if (fault === 'a software adapter') return;
    await serveIn(page, site, { engine: { measure: false, gpuLayers: 99 } });
    expect(await chat(page, question)).toHaveLength(8);
    expect((await engine(page)).gpuNote).toMatch(note);
  });
}

test('a GPU that computes something else: the CPU answers the same request, and the next visit’s', async ({
  page,
  site,
}) => {
  // It computes nothing, so that all tokens are as likely.
  inEngineWorkers(site, fakeGpu());
  await serveIn(page, site, { engine: { measure: false, gpuLayers: 0 } });
  const expected = await chat(page, question);
  for (let visit = 0; visit < 2; visit++) {
    await serveIn(page, site, { engine: { measure: false, gpuLayers: 99 } });
    expect(await chat(page, question)).toBe(expected);
    const { gpuNote, ...rest } = await engine(page);
    expect(rest).toMatchObject({ gpu: null, gpuLayers: 0 });
    expect(gpuNote).toMatch(/computes it wrong/);
  }
});

test('a GPU that fails while the model is loaded: the CPU answers the same request', async ({ page, site }) => {
  // Only wllama's worker is refused: the engine's own try was good.
  const refusing = `${fakeGpu()};{
    const ask = navigator.gpu.requestAdapter.bind(navigator.gpu);
    navigator.gpu.requestAdapter = async (options) =>
      Object.assign(await ask(options), { requestDevice: () => Promise.reject(new Error('out of handles')) });
  }`;
  inEngineWorkers(site, refusing);
  await serveIn(page, site, { engine: { measure: false, gpuLayers: 99 } });
  expect(await chat(page, question)).toHaveLength(8);
  const { gpuNote, ...rest } = await engine(page);
  expect(rest).toMatchObject({ gpu: null, gpuLayers: 0 });
  expect(gpuNote).toMatch(/since the GPU could not load it/);
});
