import { expect, test } from 'vitest';
import { PatternFault, rewritePattern } from './pattern.ts';

/** What is written, as a regular expression of JSON text without its quotes. */
function expressionOf(pattern: string, lengths?: { min: number; max: number }): RegExp {
  const written = rewritePattern(pattern, lengths).slice(1, -1);
  return new RegExp(`^(?:${written.replace(/\\U([\dA-F]{8})/g, '\\u{$1}')})$`, 'u');
}

const encoded = (text: string) => JSON.stringify(text).slice(1, -1);

test.each([
  ['^good day\\!$', ['good day!'], ['good day\\!', 'good day']],
  ['^\\S+$', ['a"b\\c', '日本'], ['', 'a b', 'a\u00a0b']],
  ['^\\p{L}+$', ['abcé日Ж'], ['a1', '']],
  ['^[^a]{0,2}$', ['', '"\n', '🦙🦙'], ['a', 'bbb']],
  ['^.$', ['"', '\\', '🦙'], ['\n', '', 'ab']],
  ['abc', ['abc', 'xabcx', '"abc\n'], ['ab']],
  ['^a|b$', ['a', 'ax', 'xb'], ['xa', 'bx']],
  ['^(^a|b)c$', ['ac', 'bc'], ['c']],
  ['^(a*)*$', ['', 'aaa'], ['b']],
  ['^(?:(?:ab){0,3}){2,5}$', ['', 'ab', 'ab'.repeat(15)], ['ab'.repeat(16), 'a']],
  ['^(?P<name>x|)y$', ['xy', 'y'], ['x']],
  ['^[\\x00-\\x1f]$', ['\n', '\t'], [' ']],
  ['^\\cA$', ['\u0001'], ['A']],
  ['^[\\]\\-^]+$', ['^-]'], ['a']],
  ['^a{1,65536}$', ['a', 'a'.repeat(65536)], ['', 'a'.repeat(65537)]],
])('%s', (pattern, matching, others) => {
  const expression = expressionOf(pattern);
  for (const text of matching) expect(expression.test(encoded(text)), text.slice(0, 50)).toBe(true);
  for (const text of others) expect(expression.test(encoded(text)), text.slice(0, 50)).toBe(false);
});

test.each([
  ['^(?=a)b$', 'a look-ahead'],
  ['^(?<!a)b$', 'a look-behind'],
  ['\\bfoo', "a word boundary, '\\b'"],
  ['^(a)\\1$', "a back-reference, '\\1'"],
  ['^(?i:a)$', 'a group with flags'],
  ['^a{3,1}$', 'the repetition {3,1} has a minimum above its maximum'],
  ['^a$b$', "an anchor, '^' or '$', within the pattern"],
  ['^\\p{Nope}$', 'none of Unicode'],
  ['^a{70000}$', 'the limit is 65536'],
  ['^(a$', "a '(' that nothing closes"],
  ['^\\A$', "the escape '\\A'"],
])('%s is refused', (pattern, reason) => {
  expect(() => rewritePattern(pattern)).toThrow(PatternFault);
  expect(() => rewritePattern(pattern)).toThrow(reason);
});

test('lengths beside a pattern', () => {
  const expression = expressionOf('^x[a-z]+$', { min: 3, max: 5 });
  expect(['xab', 'xabcd'].every((text) => expression.test(text))).toBe(true);
  expect(['xa', 'xabcde'].some((text) => expression.test(text))).toBe(false);
  expect(() => rewritePattern('^a+b+$', { min: 0, max: 5 })).toThrow('lengths that vary in more than one place');
  expect(() => rewritePattern('^abc$', { min: 4, max: 5 })).toThrow('want 4 to 5 characters');
});
