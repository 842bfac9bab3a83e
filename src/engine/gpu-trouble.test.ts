import { describe, expect, it } from 'vitest';
import { troubleOfLoad } from './gpu-trouble.ts';

describe('troubleOfLoad', () => {
  it.each([
    'Out of memory',
    'ggml_webgpu: failed to allocate a buffer of 734003200 bytes',
    'GPUOutOfMemoryError: VK_ERROR_OUT_OF_DEVICE_MEMORY',
    'alloc_tensor_range: unable to allocate WebGPU buffer of size 1234',
  ])('tries fewer layers where memory was short: %s', (reason) => {
    expect(troubleOfLoad(29, reason)).toMatchObject({ layersAtMost: 14, reason: expect.stringContaining('14 layers') });
  });

  it('ends at the CPU', () => {
    expect(troubleOfLoad(7, 'Out of memory').layersAtMost).toBe(0);
    let layers = 81;
    let tries = 0;
    for (; layers > 0; tries++) layers = troubleOfLoad(layers, 'Out of memory').layersAtMost;
    expect(tries).toBeLessThan(7);
  });

  it('does not try again what failed for another reason', () => {
    expect(troubleOfLoad(29, 'Device lost: driver reset')).toEqual({
      layersAtMost: 0,
      reason: 'This model runs on the CPU, since the GPU could not load it: Device lost: driver reset',
    });
  });
});
