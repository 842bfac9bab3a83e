import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { init } from './init.ts';
import { parseInit } from './options.ts';

let folder: string;
let lines: string[];
const write = (name: string, text: string) => {
  mkdirSync(join(folder, name, '..'), { recursive: true });
  writeFileSync(join(folder, name), text);
};
const read = (name: string) => readFileSync(join(folder, name), 'utf8');
const run = (...args: string[]) =>
  init(parseInit([join(folder, 'site'), ...args]), (line) => lines.push(line), {
    runtime: join(folder, 'runtime'),
    page: join(folder, 'page/llamatab.js'),
  });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llamatab-init-'));
  lines = [];
  mkdirSync(join(folder, 'site'));
  write('page/llamatab.js', 'export const base = __LLAMATAB_BASE__;');
  const files = {
    'worker.js': 'worker-1.js',
    'wllama.wasm': 'wllama-1.wasm',
    'wllama-compat.js': 'wllama-compat-1.js',
  };
  write('runtime/llamatab/manifest.json', JSON.stringify({ version: '1', protocol: 1, files }));
  for (const file of ['llamatab-sw.js', ...Object.values(files).map((name) => `llamatab/${name}`)]) {
    write(`runtime/${file}`, file);
  }
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a folder without Vite', () => {
  test('gets the files, and the three lines', () => {
    run();
    expect(readdirSync(join(folder, 'site/llamatab')).sort()).toEqual([
      'llamatab.js',
      'manifest.json',
      'wllama-1.wasm',
      'wllama-compat-1.js',
      'worker-1.js',
    ]);
    expect(read('site/llamatab/llamatab.js')).toMatch(/^const __LLAMATAB_BASE__ = .*import\.meta\.url/);
    expect(lines.join('\n')).toContain("import { serve } from './llamatab/llamatab.js';");
  });

  test('that serves public/ gets them there', () => {
    write('site/public/index.html', '');
    run();
    expect(existsSync(join(folder, 'site/public/llamatab-sw.js'))).toBe(true);
    expect(readdirSync(join(folder, 'site'))).toEqual(['public']);
  });

  test('twice, and with a file of an earlier version, which is named', () => {
    run();
    const first = read('site/llamatab/llamatab.js');
    write('site/llamatab/build-old.js', '');
    run();
    expect(read('site/llamatab/llamatab.js')).toBe(first);
    expect(lines.join('\n')).toContain('Not of this version: llamatab/build-old.js.');
  });

  test('without a build that is left out', () => {
    run('--leave-out', 'compat');
    expect(existsSync(join(folder, 'site/llamatab/wllama-compat-1.js'))).toBe(false);
    expect(Object.keys(JSON.parse(read('site/llamatab/manifest.json')).files)).toEqual([
      'worker.js',
      'wllama.wasm',
      // Or the service worker would not keep it for offline visits.
      'llamatab.js',
    ]);
  });
});

describe('a folder with Vite', () => {
  const REACT = `import { defineConfig } from 'vite'
import react from '@vitejs/plugin-react'

export default defineConfig({
  plugins: [react()],
})
`;

  test('and no configuration, as npm create vite leaves it, gets one', () => {
    write('site/package.json', JSON.stringify({ devDependencies: { vite: '8' } }));
    run();
    expect(read('site/vite.config.js')).toContain('plugins: [llamatab()]');
    run();
    expect(lines.join('\n')).toContain("vite.config.js has llamatab's plugin already.");
  });

  test('whose configuration has plugins gets one more', () => {
    write('site/vite.config.ts', REACT);
    run('--leave-out', 'compat,stock');
    expect(read('site/vite.config.ts')).toBe(
      `import { llamatab } from 'llamatab/vite';\n${REACT.replace('[react', "[llamatab({ leaveOut: ['stock', 'compat'] }), react")}`,
    );
    expect(existsSync(join(folder, 'site/public'))).toBe(false);
  });

  test.each([
    ['export default { plugins: [] }', 'export default { plugins: [llamatab()] }'],
    ['export default defineConfig({})', 'export default defineConfig({\n  plugins: [llamatab()],\n})'],
  ])('%s', (before, after) => {
    write('site/vite.config.ts', before);
    run();
    expect(read('site/vite.config.ts')).toBe(`import { llamatab } from 'llamatab/vite';\n${after}`);
  });

  test('whose configuration is written otherwise is left alone, and told what to do', () => {
    write('site/vite.config.ts', 'export default makeConfig()');
    expect(() => run()).toThrow(
      /vite\.config\.ts is left as it is.*\n.*import \{ llamatab \}.*\n.*plugins: \[llamatab\(\)/,
    );
    expect(read('site/vite.config.ts')).toBe('export default makeConfig()');
  });
});

test.each([
  [['a', 'b'], /Unexpected argument: "b"/],
  [['--leave-out', 'wasm64'], /--leave-out takes some of relaxed,simd128,stock,compat, but got "wasm64"/],
  [['--leave-out', 'relaxed,simd128,stock,compat'], /--leave-out takes some/],
])('init %j is refused', (args, message) => {
  expect(() => parseInit(args)).toThrow(message);
});
