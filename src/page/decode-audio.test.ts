import { expect, test } from 'vitest';
import { mix } from './decode-audio.ts';

test('channels are mixed down to one', () => {
  expect(mix([])).toEqual(new Float32Array());
  expect(mix([Float32Array.of(0.5, -1)])).toEqual(Float32Array.of(0.5, -1));
  expect(mix([Float32Array.of(1, 0.5), Float32Array.of(0, 0.5)])).toEqual(Float32Array.of(0.5, 0.5));
});
