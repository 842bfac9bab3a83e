import { expect, test } from 'vitest';
import { parseHubName } from './hub-name.ts';

test('names that are none of a hub are refused', () => {
  for (const name of ['', 'model', 'a/b/c', 'a/b:c:d', '../b', 'a/..', 'https://a/b', 'a b/c']) {
    expect(() => parseHubName(name), name).toThrow(/owner\/repo/);
  }
  expect(parseHubName('ggml-org/m.1_x-GGUF:Q4_K_M')).toEqual({ repo: 'ggml-org/m.1_x-GGUF', tag: 'Q4_K_M' });
});
