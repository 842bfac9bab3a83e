/**
 * Prints the category table of `src/tokenizer/unicode.ts` from llama.cpp's own: its version of Unicode is what tokens depend on.
 *
 *   node test/tokenizer/unicode-categories.mjs llama.cpp/src/unicode-data.cpp
 */
import { readFile } from 'node:fs/promises';

/** llama.cpp's flags to the categories' first letters; U is unassigned. */
const LETTERS = new Map(Object.entries({ 1: 'U', 2: 'N', 4: 'L', 8: 'Z', 16: 'M', 32: 'P', 64: 'S', 128: 'C' }));
const LINE = 118;

const source = await readFile(process.argv[2] ?? 'unicode-data.cpp', 'utf8');
const ranges = Array.from(
  source.slice(0, source.indexOf('};')).matchAll(/\{0x([0-9A-F]+), 0x([0-9A-F]+)\}/g),
  ([, start = '', flags = '']) => ({ start: Number.parseInt(start, 16), flags: Number.parseInt(flags, 16) }),
);
let line = '  ';
ranges.slice(0, -1).forEach(({ start, flags }, index) => {
  const run = ((ranges[index + 1]?.start ?? 0) - start).toString(36) + LETTERS.get(String(flags));
  if (line.length + run.length > LINE) {
    console.log(line);
    line = '  ';
  }
  line += run;
});
console.log(line);
