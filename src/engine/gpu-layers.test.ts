import { describe, expect, it } from 'vitest';
import type { GgufHeader, GgufTensor } from '../gguf/header.ts';
import type { UsableGpu } from './gpu-adapter.ts';
import { gpuLayersFor, layerSizes } from './gpu-layers.ts';

const MIB = 2 ** 20;
const gpu = (maxBindingSize: number, maxBufferSize = maxBindingSize): UsableGpu => ({
  state: 'usable',
  name: 'test',
  maxBufferSize,
  maxBindingSize,
  speed: { secondsPerDispatch: 1e-5, bytesPerSecond: 1e11 },
});
const header = (tensors: GgufTensor[], blocks = 4): GgufHeader => ({
  version: 3,
  architecture: 'llama',
  metadata: new Map([['llama.block_count', blocks]]),
  tensors,
  dataOffset: 0,
  fileSizeNeeded: 0,
});
const tensor = (name: string, size: number | null): GgufTensor => ({ name, size, dims: [1], type: 0, offset: 0 });

/** A model of 4 blocks of at most 20 MiB, with an output of 100. */
const MODEL = [
  tensor('token_embd.weight', 100 * MIB),
  ...[0, 1, 2, 3].flatMap((i) => [
    tensor(`blk.${i}.attn_q.weight`, 5 * MIB),
    tensor(`blk.${i}.ffn_up.weight`, 20 * MIB),
  ]),
];

describe('gpuLayersFor', () => {
  it('is every block and the output where all fit', () => {
    expect(gpuLayersFor(layerSizes(header(MODEL)), MIB, gpu(128 * MIB))).toEqual({ layers: 5, limit: null });
  });

  it('is none where the output is too large, which llama.cpp offloads first', () => {
    const { layers, limit } = gpuLayersFor(layerSizes(header(MODEL)), MIB, gpu(64 * MIB));
    expect(layers).toBe(0);
    expect(limit).toMatch(/token_embd\.weight is 100 MiB.*64 MiB/);
  });

  it("counts the output's own weights rather than the embeddings", () => {
    const tensors = [...MODEL, tensor('output.weight', 30 * MIB)];
    expect(gpuLayersFor(layerSizes(header(tensors)), MIB, gpu(64 * MIB))).toEqual({ layers: 5, limit: null });
  });

  it('counts from the end up to the first block that does not fit', () => {
    const tensors = [...MODEL, tensor('blk.1.ffn_down_exps.weight', 200 * MIB)];
    const { layers, limit } = gpuLayersFor(layerSizes(header(tensors)), MIB, gpu(128 * MIB));
    expect(layers).toBe(3);
    expect(limit).toMatch(/blk\.1\.ffn_down_exps\.weight/);
  });

  it('is none where a KV cache is too large', () => {
    const { layers, limit } = gpuLayersFor(layerSizes(header(MODEL)), 200 * MIB, gpu(128 * MIB));
    expect(layers).toBe(0);
    expect(limit).toMatch(/KV cache is 200 MiB.*contextSize/);
  });

  it('takes the smaller of the two limits', () => {
    expect(gpuLayersFor(layerSizes(header(MODEL)), MIB, gpu(2048 * MIB, 64 * MIB)).layers).toBe(0);
  });

  it('leaves types that it does not know to llama.cpp', () => {
    expect(gpuLayersFor(layerSizes(header([tensor('blk.0.x', null)], 1)), 0, gpu(1))).toEqual({
      layers: 2,
      limit: null,
    });
  });
});
