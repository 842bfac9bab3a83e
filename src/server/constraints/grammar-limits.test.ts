import { expect, test } from 'vitest';
import { grammarFault } from './grammar-limits.ts';

const rules = (...lines: string[]) => lines.join('\n');

test.each([
  ['a minimum above its maximum', 'root ::= "a"{3,1}', '{3,1} has a minimum above its maximum at line 1, column 13'],
  ['a maximum of none', 'root ::= "a"{5,0}', '{5,0} has a minimum above its maximum'],
  ['too many repetitions', 'root ::= "a"{2001}', 'at least 2001; the limit is 2000'],
  ['repetitions of a group', 'root ::= ("a" ("b" "c"?)*){0,1500}', 'number of repetitions exceeds sane defaults'],
  ['a rule that is not there', 'root ::= nowhere', "the rule 'nowhere' is used and not defined"],
  ['no root', 'a ::= "a"', "there is no rule 'root'"],
  ['left recursion', 'root ::= root "a" | "b"', "the rule 'root' can begin with itself"],
  ['left recursion that llama.cpp does not see', rules('root ::= x root "a"', 'x ::= y', 'y ::= ""'), 'left recursion'],
  ['repetition of what can be empty', 'root ::= ("a"*)*', 'left recursion'],
  ['many repetitions of what can be empty', rules('root ::= x{0,2000}', 'x ::= "a"?'), 'what can be empty'],
  [
    'paths that multiply',
    rules('root ::= r0', ...Array.from({ length: 40 }, (_, i) => `r${i} ::= r${i + 1} | r${i + 1} "x"`), 'r40 ::= "a"'),
    'can begin in too many ways',
  ],
  ['repetitions that multiply', rules('root ::= a{0,50}', 'a ::= "a"{0,50}'), '1100 ways to go on'],
  ['rules that multiply', rules('root ::= s', 's ::= "a" s t | ""', 't ::= "a" t s | ""'), '1100 ways to go on'],
  ['alternatives that nest', 'root ::= "[" root "]" | "[" root "]" | "x"', '1100 ways to go on'],
  [
    'rules that nest where fewer ways lead',
    rules('root ::= (([a-z]{0,3} c{2} root | "z" "a" root | b{0,65536}){0,50}) "\\""', 'b ::= "b"', 'c ::= "c"'),
    '1100 ways to go on',
  ],
  [
    'rules that nest behind what has no end',
    rules(
      'root ::= "{" value ":" t',
      'value ::= "[" value* "]" | [a-z]+',
      't ::= "(" t "+" t ")" | "(" t "-" t ")" | "x"',
    ),
    '1100 ways to go on',
  ],
  ['an empty range', 'root ::= [b-a]', 'no character can be written here'],
  ['a NUL', 'root ::= "\\x00"', 'no character can be written here'],
  ['deep groups', `root ::= ${'('.repeat(1000)}`, 'nested deeper than 64'],
  ['more elements than memory', rules(...Array.from({ length: 300 }, (_, i) => `r${i} ::= "abcdef"{1999}`)), '500000'],
  ['no end of a literal', 'root ::= "a', 'unexpected end at line 1, column 12'],
  ['an escape', 'root ::= "\\p"', 'unknown escape'],
  ['a long text', `# ${'x'.repeat(2 ** 20)}`, 'the limit is 1048576'],
])('%s', (_, grammar, fault) => {
  expect(grammarFault(grammar)).toContain(fault);
});

test.each([
  ['bounds', rules('root ::= a b c', 'a ::= "a"{1999}', 'b ::= "b"{0,1999}', 'c ::= [^a-z\\n]{1,65536}')],
  ['JSON', rules('root ::= value', 'value ::= "[" (value ("," value)*)? "]" | "\\"" [^"]* "\\"" | [0-9]+')],
  ['a list of words', `root ::= ${Array.from({ length: 1000 }, (_, index) => `"word ${index}"`).join(' | ')}`],
  ['spaces, comments and new lines', rules('# a', 'root ::= # b', '  ( "a" # c', '  | "b" )', '', 'x ::= "y"')],
  ['tokens', 'root ::= <think> !<[5]>* "x"'],
  ['an empty class, which llama.cpp skips', 'root ::= [] "a" [^]'],
])('fine: %s', (_, grammar) => {
  expect(grammarFault(grammar)).toBe(undefined);
});
