import { expect, test } from 'vitest';
import { mergeSymbols } from './merge.ts';

const ranks = (...merges: string[]) => {
  const order = new Map(merges.map((merge, rank) => [merge, rank]));
  return (text: string) =>
    mergeSymbols(text, (start, middle, end) => order.get(`${text.slice(start, middle)} ${text.slice(middle, end)}`));
};

test('the best pair first, of equals the leftmost', () => {
  const merge = ranks('b c', 'a b', 'bc d', 'a a');
  expect(merge('abcd')).toEqual(['a', 'bcd']);
  expect(merge('abab')).toEqual(['ab', 'ab']);
  expect(merge('aaa')).toEqual(['aa', 'a']);
  expect(merge('x😀y')).toEqual(['x', '😀', 'y']);
  expect(merge('')).toEqual([]);
});

test('looks at a few pairs for each symbol, however long the text', () => {
  const looked = (length: number) => {
    let count = 0;
    mergeSymbols('a'.repeat(length), (start, _, end) => {
      count++;
      const size = end - start;
      return size <= 64 && Number.isInteger(Math.log2(size)) ? size : undefined;
    });
    return count / length;
  };
  expect(looked(100_000)).toBeLessThan(1.1 * looked(1000));
});
