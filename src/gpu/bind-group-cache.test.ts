import { expect, it, vi } from 'vitest';
import { BindGroupCache, MAX_GROUPS } from './bind-group-cache.ts';
import type { ParameterSlot } from './parameter-store.ts';
import type { GpuBufferBinding } from './webgpu.ts';

const parameters = {} as ParameterSlot;
const made = (key: number[], hash: number, buffers: number[] = []) => ({
  group: { key },
  key: Uint32Array.from(key),
  hash,
  entries: [],
  parameterBinding: {} as GpuBufferBinding,
  buffers,
  parameters,
});

function setUp() {
  const onDrop = vi.fn();
  const cache = new BindGroupCache(onDrop);
  const find = (key: number[], hash: number) => cache.find(Uint32Array.from(key), key.length, hash)?.group;
  return { cache, find, onDrop };
}

it('finds by the whole key, not by its hash: of two with the same hash the later is kept', () => {
  const { cache, find, onDrop } = setUp();
  cache.add(made([1, 2], 7));
  expect(find([1, 2], 7)).toEqual({ key: [1, 2] });
  expect(find([1, 3], 7)).toBeUndefined();
  expect(find([1, 2, 3], 7)).toBeUndefined();
  cache.add(made([1, 3], 7));
  expect(find([1, 3], 7)).toEqual({ key: [1, 3] });
  expect(find([1, 2], 7)).toBeUndefined();
  expect(onDrop).toHaveBeenCalledOnce();
  expect(cache.size).toBe(1);
});

it('looks at no more of a key than its length', () => {
  const { cache } = setUp();
  cache.add(made([1, 2], 7));
  expect(cache.find(Uint32Array.of(1, 2, 99), 2, 7)).toBeDefined();
});

it('drops those that were not used for longest', () => {
  const { cache, find, onDrop } = setUp();
  for (let i = 0; i < MAX_GROUPS; i++) cache.add(made([i], i));
  expect(onDrop).not.toHaveBeenCalled();
  find([0], 0);
  cache.add(made([MAX_GROUPS], MAX_GROUPS));
  expect(onDrop).toHaveBeenCalledTimes(MAX_GROUPS / 4);
  expect(find([0], 0)).toBeDefined();
  expect(find([1], 1)).toBeUndefined();
  expect(find([MAX_GROUPS - 1], MAX_GROUPS - 1)).toBeDefined();
  expect(find([MAX_GROUPS], MAX_GROUPS)).toBeDefined();
});

it('drops those of a buffer, and keeps no buffer that none binds', () => {
  const { cache, find, onDrop } = setUp();
  cache.add(made([1], 1, [10, 20]));
  cache.add(made([2], 2, [20]));
  cache.add(made([3], 3, [30]));
  cache.dropBuffer(10);
  expect([find([1], 1), find([2], 2)]).toEqual([undefined, { key: [2] }]);
  expect(cache.buffers).toBe(2);
  cache.dropBuffer(20);
  cache.dropBuffer(40);
  expect(cache.size).toBe(1);
  cache.clear();
  expect([cache.size, cache.buffers, onDrop.mock.calls.length]).toEqual([0, 0, 3]);
});
