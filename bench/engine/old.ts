/** The engine of an earlier commit: the version of wllama that it pinned, with the kernels that it had. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runnerImport } from 'vite';
import { root } from '../../src/cli/prerequisites.mjs';
import { WORK } from './site.ts';

export interface OldEngine {
  /** Of wllama. */
  version: string;
  /** In the site: the binary with kernels in relaxed SIMD, and the script that belongs to it. */
  wasm: string;
  script: string;
}

/** @param commit of this repository, or any other name that git has for one @throws Error if git or npm can't give it */
export async function oldEngine(commit: string): Promise<OldEngine> {
  const folder = join(root, 'node_modules/.cache/bench-engine-old');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, maxBuffer: 2 ** 28 });
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', commit, 'src/kernels') });
  const { devDependencies } = JSON.parse(git('show', `${commit}:package.json`).toString());
  const version = devDependencies['@wllama/wllama'] as string;
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  execFileSync('npm', ['install', '--no-save', '--silent', `@wllama/wllama@${version}`], { cwd: folder });

  const published = join(folder, 'node_modules/@wllama/wllama/esm');
  const linker = join(folder, 'src/kernels/build.ts');
  const { module } = await runnerImport<typeof import('../../src/kernels/build.ts')>(linker, { configFile: false });
  const site = join(WORK, 'site/old');
  rmSync(site, { recursive: true, force: true });
  cpSync(published, site, { recursive: true });
  writeFileSync(
    join(site, 'relaxed.wasm'),
    module.buildEngine(readFileSync(join(published, 'wasm/wllama.wasm')), 'relaxed'),
  );
  return { version, wasm: '/old/relaxed.wasm', script: '/old/index.js' };
}
