/**
 * Compiles the kernels to WebAssembly modules with @yowasp/clang: clang and lld, compiled to WebAssembly.
 *
 * `node src/kernels/compile.mjs` writes `wasm/<level>-<address>.wasm`, which are committed: a build needs no compiler, and
 * `compile.test.ts` makes sure that the files are what the sources give, to the byte.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

const SOURCES = new URL('./', import.meta.url);
const OUTPUT = new URL('./wasm/', import.meta.url);

const FLAGS = [
  '-O3',
  '-std=c17',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-ffreestanding',
  '-nostdlib',
  // One result for all: no fused multiplications, and no calls of memset and the like.
  '-ffp-contract=off',
  '-fno-builtin',
  '-Wl,--no-entry,--import-memory,--strip-all',
];
/** @type {Record<string, string[]>} */
const LEVELS = { simd128: ['-msimd128'], relaxed: ['-msimd128', '-mrelaxed-simd', '-DRELAXED'] };
/** @type {Record<string, string[]>} */
const ADDRESSES = { wasm64: ['--target=wasm64'], wasm32: ['--target=wasm32'] };

/** The names of the modules. */
export const MODULES = Object.keys(LEVELS).flatMap((level) =>
  Object.keys(ADDRESSES).map((address) => `${level}-${address}.wasm`),
);

/**
 * One of the modules.
 *
 * @param {string} name one of `MODULES`
 * @param {string} [prelude] C to be read before every source
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function compileKernels(name, prelude = '') {
  // Imported here: who only imports a name does not load 100 MB.
  const { commands } = await import('@yowasp/clang');
  /** @type {Record<string, string>} */
  const files = { 'prelude.h': prelude };
  for (const file of (await readdir(SOURCES)).filter((file) => /\.[ch]$/.test(file)).sort()) {
    files[file] = await readFile(new URL(file, SOURCES), 'utf8');
  }
  const sources = Object.keys(files).filter((file) => file.endsWith('.c'));
  const [level, address] = name.replace('.wasm', '').split('-');
  const target = [...(ADDRESSES[address ?? ''] ?? []), ...(LEVELS[level ?? ''] ?? [])];
  const tree = await commands.clang([...target, ...FLAGS, '-include', 'prelude.h', ...sources, '-o', name], files);
  const bytes = tree?.[name];
  if (!(bytes instanceof Uint8Array)) throw new Error(`clang wrote no ${name}`);
  return new Uint8Array(bytes);
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  await mkdir(OUTPUT, { recursive: true });
  for (const name of MODULES) {
    const bytes = await compileKernels(name);
    await writeFile(new URL(name, OUTPUT), bytes);
    console.log(`${name}: ${bytes.length} bytes`);
  }
}
