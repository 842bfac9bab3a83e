/** Seeded texts of all kinds that a tokenizer may stumble over, the same on every machine. */
import { seededRandom } from '../../src/server/testing/seeded-random.ts';

const WORDS = (
  'the of and a to in is you that it he was for on are as with his they I at be this have from or one had by word but ' +
  'not what all were we when your can said there use an each which she do how their if will up other about out many ' +
  "then them these so some her would make like him into time has look two more write go see don't it's we're I'll " +
  "they've YOU'RE I'D straße naïve café Ünïcödé Ελλάδα Москва עברית العربية हिन्दी ไทย 日本語 中文 한국어 ǅungla ﬁne 𝔘𝔫𝔦"
).split(' ');
const CODE = [
  ...['function f(x) { return x + 1; }', 'for (let i = 0; i < 10; i++) {', '\tif (a && b || !c)', '#include <stdio.h>'],
  ...['def g(self, *args):\n    pass\n', 'SELECT * FROM t WHERE a = "b";', '<div class="a">&nbsp;</div>', 'a->b.c::d'],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: code, to a tokenizer
  ...['https://example.org/a?b=c&d=%20#e', '{"key": [1, 2.5e-3, null]}', 'x²+y³≠½', '```ts\nconst a = `${b}`;\n```'],
];
const SPACES = [
  ' ',
  '  ',
  '    ',
  '\t',
  '\n',
  '\n\n',
  '\r\n',
  ' \n ',
  '\u00a0',
  '\u2003',
  '\u3000',
  '\u0085',
  '\u2028',
  '\v',
  '\f',
];
const PUNCTUATION = [
  '.',
  ',',
  '!',
  '?',
  '...',
  '—',
  '…',
  '“',
  '”',
  "'",
  '"',
  '(',
  ')',
  '、',
  '。',
  '！',
  '¿',
  '$',
  '€',
  '^',
  '`',
  '~',
  '|',
  '+',
  '<',
  '=',
];
const EMOJI = ['😀', '👍🏽', '👩‍👩‍👧‍👦', '🏳️‍🌈', '🇩🇪', '❤️', '🦙', '☃', '1️⃣'];
const MARKS = [
  'e\u0301',
  'a\u0308\u0304',
  '\u0301',
  'ก็',
  'नि',
  'Å',
  'Ǆ',
  'İ',
  'ﬀ',
  '\u1e9b\u0323',
  '가',
  '\u1100\u1161',
];
const CONTROLS = [
  '\0',
  '\u0001',
  '\u007f',
  '\u001f',
  '\u200b',
  '\u200d',
  '\ufeff',
  '\ufffd',
  '\u00ad',
  '\u202e',
  '\ue000',
  '\uffff',
];
const LONE_SURROGATES = ['\ud800', '\udfff', 'a\udc00b', '\ud83d'];

/** Blocks that characters are drawn from: [first, last]. */
const BLOCKS = [
  [0x21, 0x7e],
  [0xa1, 0x24f],
  [0x370, 0x52f],
  [0x590, 0x6ff],
  [0x900, 0xdff],
  [0x1e00, 0x1fff],
  [0x2000, 0x2bff],
  [0x3040, 0x30ff],
  [0x4e00, 0x9fff],
  [0xac00, 0xd7a3],
  [0xf900, 0xffef],
  [0x10000, 0x1ffff],
  [0x20000, 0x3ffff],
  [0xe0000, 0x10ffff],
] as const;

/** @param specials Texts of special tokens, which come among the others. */
export function randomTexts(count: number, specials: readonly string[], seed = 1): string[] {
  const random = seededRandom(seed);
  const below = (bound: number) => Math.floor(random() * bound);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T;
  const codePoint = () => {
    const [first, last] = pick(BLOCKS);
    const drawn = first + below(last - first + 1);
    return String.fromCodePoint(drawn >= 0xd800 && drawn <= 0xdfff ? 0xfffd : drawn);
  };
  const digits = () => Array.from({ length: 1 + below(9) }, () => pick([...'0123456789٣४²Ⅷ'])).join('');
  const cased = (word: string) => pick([word, word, word.toUpperCase(), word.charAt(0).toUpperCase() + word.slice(1)]);
  const parts: (() => string)[] = [
    () => ` ${cased(pick(WORDS))}`,
    () => ` ${cased(pick(WORDS))}`,
    () => cased(pick(WORDS)),
    () => pick(CODE),
    digits,
    () => pick(SPACES).repeat(1 + below(5)),
    () => pick(PUNCTUATION).repeat(1 + below(3)),
    () => pick(EMOJI),
    () => pick(MARKS),
    () => pick(CONTROLS),
    () => Array.from({ length: 1 + below(8) }, codePoint).join(''),
    () => pick(specials) ?? '',
    () => (pick(specials) ?? '').slice(below(3), 20),
  ];
  return Array.from({ length: count }, (_, index) => {
    // Some of one kind alone, some of all kinds; some short, some long.
    const among = index % 3 === 0 ? [pick(parts)] : parts;
    const text = Array.from({ length: 1 + below(index % 10 === 0 ? 60 : 12) }, () => pick(among)()).join('');
    return index % 50 === 7 ? text + pick(LONE_SURROGATES) : text;
  });
}
