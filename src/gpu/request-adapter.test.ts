import { expect, it, vi } from 'vitest';
import { requestAdapter } from './request-adapter.ts';
import type { GpuAdapterOptions } from './webgpu.ts';

const adapter = { name: 'a card' };

/** A browser that answers in this order. */
function browser(...answers: (object | null | Error)[]) {
  const asked: (GpuAdapterOptions | undefined)[] = [];
  const gpu = {
    wgslLanguageFeatures: new Set(),
    requestAdapter: async (options?: GpuAdapterOptions) => {
      asked.push(options);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer ?? null;
    },
  };
  return { gpu, asked };
}

it('asks for a high-performance adapter', async () => {
  const { gpu, asked } = browser(adapter);
  expect(await requestAdapter(gpu, { featureLevel: 'core' })).toBe(adapter);
  expect(asked).toEqual([{ featureLevel: 'core', powerPreference: 'high-performance' }]);
});

it('takes any where there is no such, without a pause', async () => {
  const { gpu, asked } = browser(null, adapter);
  const wait = vi.fn();
  expect(await requestAdapter(gpu, {}, wait)).toBe(adapter);
  expect(asked).toEqual([{ powerPreference: 'high-performance' }, {}]);
  expect(wait).not.toHaveBeenCalled();
});

it('asks again after a moment: a browser that has just started may say null', async () => {
  const { gpu, asked } = browser(null, null, adapter);
  const wait = vi.fn(async () => {});
  expect(await requestAdapter(gpu, {}, wait)).toBe(adapter);
  expect(asked).toHaveLength(3);
  expect(wait).toHaveBeenCalledOnce();
});

it('gives up after that', async () => {
  const { gpu, asked } = browser();
  expect(await requestAdapter(gpu, {}, async () => {})).toBe(null);
  expect(asked).toHaveLength(4);
});

it('goes on where the browser throws, and throws what it threw last', async () => {
  const first = browser(new Error('busy'), adapter);
  expect(await requestAdapter(first.gpu)).toBe(adapter);
  const { gpu } = browser(null, null, null, new Error('blocked'));
  await expect(requestAdapter(gpu, {}, async () => {})).rejects.toThrow('blocked');
});

it('keeps a preference that the caller has', async () => {
  const { gpu, asked } = browser(adapter);
  await requestAdapter(gpu, { powerPreference: 'low-power' });
  expect(asked).toEqual([{ powerPreference: 'low-power' }]);
});

it('does not wait for a GPU that wllama hides', async () => {
  const wait = vi.fn();
  expect(await requestAdapter({ requestAdapter: async () => null }, {}, wait)).toBe(null);
  expect(wait).not.toHaveBeenCalled();
});
