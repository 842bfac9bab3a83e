import { describe, expect, it } from 'vitest';
import type { GpuAdapterOptions } from '../gpu/webgpu.ts';
import { FakeGpuAdapter } from './fake-gpu.ts';
import { detectGpu } from './gpu-adapter.ts';
import type { GpuAdapter } from './webgpu-types.ts';

/** A browser that answers its first requests with these, and all later ones with the last. */
function browser(...answers: (GpuAdapter | null | Error)[]) {
  const asked: (string | undefined)[] = [];
  return {
    asked,
    wgslLanguageFeatures: new Set<string>(),
    async requestAdapter(options?: GpuAdapterOptions) {
      asked.push(options?.powerPreference);
      const answer = answers[Math.min(asked.length, answers.length) - 1];
      if (answer instanceof Error) throw answer;
      return answer ?? null;
    },
  };
}

const pauses: number[] = [];
const pause = async (milliseconds: number) => void pauses.push(milliseconds);
const detect = (gpu: Parameters<typeof detectGpu>[0]) => detectGpu(gpu, pause);

describe('detectGpu', () => {
  it('asks for the faster GPU, and tells its limits and speed', async () => {
    const gpu = browser(new FakeGpuAdapter());
    const found = await detect(gpu);
    expect(gpu.asked).toEqual(['high-performance']);
    expect(found).toMatchObject({
      state: 'usable',
      name: 'nvidia, hopper',
      maxBufferSize: 4_294_967_292,
      maxBindingSize: 2_147_483_644,
    });
    if (found.state !== 'usable') throw new Error();
    expect(found.speed.secondsPerDispatch).toBeGreaterThan(0);
    expect(found.speed.bytesPerSecond).toBeGreaterThan(0);
  });

  it('takes any adapter where there is no faster one', async () => {
    const gpu = browser(null, new FakeGpuAdapter());
    expect((await detect(gpu)).state).toBe('usable');
    expect(gpu.asked).toEqual(['high-performance', undefined]);
  });

  it('asks again after a moment: a browser that has just started says null', async () => {
    pauses.length = 0;
    const gpu = browser(null, new Error('not yet'), new FakeGpuAdapter());
    expect((await detect(gpu)).state).toBe('usable');
    expect(gpu.asked).toEqual(['high-performance', undefined, 'high-performance']);
    expect(pauses).toHaveLength(1);
  });

  it.each<[string, Parameters<typeof detectGpu>[0], RegExp]>([
    ['no-webgpu', undefined, /no WebGPU in workers/],
    ['no-adapter', browser(null), /settings/],
    ['no-adapter', browser(new Error('blocked')), /settings/],
    ['software-adapter', browser(new FakeGpuAdapter({ isFallbackAdapter: true })), /slower than the CPU/],
    [
      'software-adapter',
      browser(new FakeGpuAdapter({ info: { vendor: 'google', architecture: 'swiftshader' } })),
      /swiftshader/,
    ],
    ['no-shader-f16', browser(new FakeGpuAdapter({ features: new Set() })), /vulkan_enable_f16_on_nvidia/],
    ['device-failed', browser(new FakeGpuAdapter({ refuses: 'out of handles' })), /out of handles/],
    ['device-failed', browser(new FakeGpuAdapter({ compiles: false })), /f16 is not allowed/],
    ['device-failed', browser(new FakeGpuAdapter({ result: 0 })), /wrong numbers/],
    ['device-failed', browser(new FakeGpuAdapter({ loses: 'driver reset' })), /driver reset/],
  ])('%s', async (state, gpu, message) => {
    const found = await detect(gpu);
    expect(found.state).toBe(state);
    expect(found.state !== 'usable' && found.message).toMatch(message);
  });
});
