import { describe, expect, test } from 'vitest';
import { parseAdd, parseCheck } from './options.ts';
import { cut } from './pieces.ts';

describe('catalog add', () => {
  test('has defaults', () => {
    expect(parseAdd(['m.gguf'], {})).toEqual({
      source: 'm.gguf',
      catalog: 'public/models/catalog.json',
      aliases: [],
      described: {},
      limit: 24 * 2 ** 20,
      copy: false,
      makeDefault: false,
      replace: false,
      dryRun: false,
    });
  });

  test.each([
    ['90M', 90 * 2 ** 20],
    ['2g', 2 ** 31],
    ['1048576', 2 ** 20],
    ['none', Number.POSITIVE_INFINITY],
  ])('--limit %s', (text, limit) => {
    expect(parseAdd(['m.gguf', '--limit', text], {}).limit).toBe(limit);
  });

  test('takes a token from the environment', () => {
    expect(parseAdd(['a/b'], { HF_TOKEN: 'x' }).token).toBe('x');
    expect(parseAdd(['a/b', '--token', 'y'], { HF_TOKEN: 'x' }).token).toBe('y');
  });

  test.each([
    [[], /Which model\?/],
    [['a', 'b'], /One model at a time\. Unexpected argument: "b"/],
    [['a', '--limit', '5'], /--limit takes a size of at least 1M, .*"5"/],
    [['a', '--limit', '24MB'], /--limit takes .*"24MB"/],
    [['a', '--context', '-1'], /--context/],
    [['a', '--context', '4k'], /--context takes a number of tokens, but got "4k"/],
    [['a', '--nonsense'], /--nonsense/],
    [['a', '--id'], /--id/],
  ])('%j is refused', (args, message) => {
    expect(() => parseAdd(args, {})).toThrow(message);
  });
});

test('catalog check takes a catalog, and nothing else', () => {
  expect(parseCheck(['--catalog', 'x.json'])).toEqual({ catalog: 'x.json' });
  expect(() => parseCheck(['x'])).toThrow('Unexpected argument: "x".');
});

test.each([
  [100, 100, [100]],
  [101, 100, [100, 1]],
  [300, 100, [100, 100, 100]],
  [5, Number.POSITIVE_INFINITY, [5]],
])('%d bytes, at most %d at a time: %j', (size, limit, sizes) => {
  expect(cut(size, limit)).toEqual(sizes);
});
