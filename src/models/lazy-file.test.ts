import { expect, test } from 'vitest';
import { LazyFile, remembering } from './lazy-file.ts';

const BYTES = Uint8Array.from({ length: 100 }, (_, i) => i);

function lazy(loads: number[] = []) {
  const cuts = [0, 30, 31, 100];
  const chunks = cuts.slice(1).map((end, i) => {
    const start = cuts[i] ?? 0;
    return {
      size: end - start,
      load: async () => {
        loads.push(i);
        return BYTES.slice(start, end).buffer;
      },
    };
  });
  return new LazyFile(chunks, 'm.gguf');
}

test('reads as a Blob of the same bytes does, slices of slices too', async () => {
  const blob = new Blob([BYTES]);
  const file = lazy();
  expect(file.size).toBe(100);
  expect(file.name).toBe('m.gguf');
  const ranges: [number?, number?][] = [[], [0, 10], [25, 35], [30, 31], [-10], [-10, -5], [50, 20], [90, 200], [31]];
  for (const [start, end] of ranges) {
    const expected = blob.slice(start, end);
    const actual = file.slice(start, end);
    expect(actual.size).toBe(expected.size);
    expect(await actual.bytes()).toEqual(new Uint8Array(await expected.arrayBuffer()));
    const inner = actual.slice(2, -3);
    expect(await inner.bytes()).toEqual(new Uint8Array(await expected.slice(2, -3).arrayBuffer()));
  }
  expect(new Uint8Array(await new Response(file.stream()).arrayBuffer())).toEqual(BYTES);
  expect(await file.slice(65, 68).text()).toBe('ABC');
});

test('loads only what it needs', async () => {
  const loads: number[] = [];
  await lazy(loads).slice(40, 50).arrayBuffer();
  expect(loads).toEqual([2]);
});

test('joins Blobs, lazy ones among them', async () => {
  const joined = LazyFile.join([new Blob(['ab']), lazy().slice(65, 70), new Blob(['yz'])], 'j');
  // A slice of a lazy file keeps its bounds.
  expect(joined.size).toBe(9);
  expect(await joined.text()).toBe('abABCDEyz');
  expect(await LazyFile.join([new Blob(['a']), new Blob(['b'])], 'n').text()).toBe('ab');
});

test('a chunk that was just loaded is not loaded again', async () => {
  let loads = 0;
  const load = remembering(async () => {
    loads++;
    return BYTES.buffer;
  });
  const first = await load();
  expect(await load()).toBe(first);
  expect(loads).toBe(1);
});
