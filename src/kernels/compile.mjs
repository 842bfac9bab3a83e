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
const LEVELS = { simd128: ['-msimd128'], relaxed: ['-msimd128', '-mrelaxed-simd', '-DRELAXED'] };
const ADDRESSES = { wasm64: '--target=wasm64', wasm32: '--target=wasm32' };

/** The modules by file name. */
export async function compileKernels() {
  // Imported here: the compiler's 100 MB are not for those who only import a name.
  const { commands } = await import('@yowasp/clang');
  /** @type {Record<string, string>} */
  const files = {};
  for (const name of (await readdir(SOURCES)).filter((name) => /\.[ch]$/.test(name)).sort()) {
    files[name] = await readFile(new URL(name, SOURCES), 'utf8');
  }
  const sources = Object.keys(files).filter((name) => name.endsWith('.c'));

  /** @type {Record<string, Uint8Array>} */
  const modules = {};
  for (const [level, levelFlags] of Object.entries(LEVELS)) {
    for (const [address, target] of Object.entries(ADDRESSES)) {
      const args = [target, ...levelFlags, ...FLAGS, ...sources, '-o', 'kernels.wasm'];
      const tree = await commands.clang(args, files, { fetchProgress: () => {} });
      const bytes = tree?.['kernels.wasm'];
      if (!(bytes instanceof Uint8Array)) throw new Error(`clang ${args.join(' ')} wrote no file`);
      modules[`${level}-${address}.wasm`] = bytes;
    }
  }
  return modules;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  await mkdir(OUTPUT, { recursive: true });
  for (const [name, bytes] of Object.entries(await compileKernels())) {
    await writeFile(new URL(name, OUTPUT), bytes);
    console.log(`${name}: ${bytes.length} bytes`);
  }
}
