import { expect, it } from 'vitest';
import { highlight } from './highlight.ts';

const CODE = 'const a = `x < 1 <b>`; // done\n';

it('names the parts of a text and loses none of it', () => {
  const spans = highlight(CODE, 'TS');
  expect(spans.map(({ text }) => text).join('')).toBe(CODE);
  expect(spans).toContainEqual({ text: 'const', class: 'hljs-keyword' });
  expect(spans).toContainEqual({ text: '// done', class: 'hljs-comment' });
});

it('leaves a language alone that it does not know, and what is long', () => {
  expect(highlight(CODE, 'brainfuck')).toEqual([{ text: CODE, class: '' }]);
  expect(highlight(CODE, '')).toEqual([{ text: CODE, class: '' }]);
  const long = CODE.repeat(1000);
  expect(highlight(long, 'ts')).toEqual([{ text: long, class: '' }]);
});
