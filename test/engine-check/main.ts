/**
 * Checks a version of wllama without installing it: the packages are fetched into `node_modules/.cache`, compared with those that
 * are in use, and tested in a copy of the project that has them in the place of ours. The project itself stays as it is.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KNOWN_WLLAMA } from '../../src/kernels/build.ts';
import { compareGpuCalls, compareKernels, compareMessages, compareSources, type Finding } from './compare.ts';
import { readPackage, type WllamaPackage } from './package.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PACKAGES = ['@wllama/wllama', '@wllama/wllama-compat'];

/** What is run in the copy, in the order of what fails fastest. The browser tests are those that only the engine can break. */
const TESTS: [command: string, ...args: string[]][] = [
  ['npm', 'run', '--silent', 'typecheck'],
  ['npx', 'vitest', 'run', 'src/kernels', 'src/engine', 'src/vite', 'test/engine-check'],
  ['npm', 'run', '--silent', 'build'],
  ...['kernels/browser', 'engine', 'drafting', 'embedded-models', 'faults', 'media', 'tools', 'conformance'].map(
    (name): [string, ...string[]] => ['npx', 'playwright', 'test', `test/${name}.spec.ts`],
  ),
];

/**
 * @param args the version; `--compare` leaves the tests out
 * @param findChromium for the browser tests: its path, or null for Playwright's own
 * @returns whether the version fits as it is
 */
export function check(args: string[], findChromium: () => string | null): boolean {
  const [version, ...more] = args.filter((arg) => arg !== '--compare');
  if (!version || !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version) || more.length > 0) {
    console.error('Give the version of wllama to check, as npm has it: npm run engine:check -- 3.13.0 [--compare]');
    return false;
  }
  const folder = join(ROOT, 'node_modules', '.cache', 'engine-check', version);
  fetchPackages(version, folder);
  const known = readPackage(join(ROOT, 'node_modules'));
  const other = readPackage(join(folder, 'node_modules'));
  console.log(
    `wllama ${known.version} (llama.cpp ${known.build}) is in use, ${version} (${other.build}) is checked.\n`,
  );

  const findings = [
    ...compareMessages(known.messages, other.messages),
    ...compareSources(other),
    ...compareKernels(known, other, (level, address) =>
      readFileSync(join(ROOT, 'src', 'kernels', 'wasm', `${level}-${address}.wasm`)),
    ),
    ...compareGpuCalls(known, other),
  ];
  const broken = print('No longer holds', 'broken', findings);
  print('Changed: to be looked at', 'changed', findings);
  if (broken > 0) {
    console.log('It does not fit as it is, so nothing was built or tested with it.');
    return false;
  }
  if (args.includes('--compare')) return true;

  const project = copyProject(folder, other);
  const chromium = findChromium();
  const env = { ...process.env, ...(chromium ? { CHROMIUM_PATH: chromium } : {}) };
  const failed = TESTS.filter((test) => {
    console.log(`\n> ${test.join(' ')}`);
    return !run(test, project, env);
  });
  for (const test of failed) console.log(`Failed with wllama ${version}: ${test.join(' ')}`);
  // What failed can be looked at there.
  if (failed.length > 0) return false;
  rmSync(project, { recursive: true });
  console.log(`\nwllama ${version} fits. For src/kernels/build.ts:`);
  for (const [address, { sha256 }] of Object.entries(other.binaries)) console.log(`    '${sha256}': '${address}',`);
  return true;
}

function fetchPackages(version: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const packages = PACKAGES.map((name) => `${name}@${version}`);
  if (!run(['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', ...packages], folder)) {
    throw new Error(`npm has no wllama ${version}, or could not be reached.`);
  }
}

function print(title: string, kind: Finding['kind'], findings: Finding[]): number {
  const lines = findings.filter((finding) => finding.kind === kind).map(({ text }) => `  - ${text}`);
  if (lines.length > 0) console.log([`${title}:`, ...lines, ''].join('\n'));
  return lines.length;
}

/** The project as it is in the working tree, with the other wllama among its packages and known to its build. */
function copyProject(folder: string, { version, binaries }: WllamaPackage): string {
  const project = join(folder, 'project');
  rmSync(project, { recursive: true, force: true });
  const { stdout } = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  for (const path of stdout.split('\0').filter(Boolean)) {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    cpSync(join(ROOT, path), join(project, path));
  }

  // Every package but wllama is the one that is installed.
  const [from, to] = [join(ROOT, 'node_modules'), join(project, 'node_modules')];
  mkdirSync(to);
  for (const name of readdirSync(from)) {
    if (!name.startsWith('.') && name !== '@wllama') symlinkSync(join(from, name), join(to, name), 'junction');
  }
  symlinkSync(join(from, '.bin'), join(to, '.bin'), 'junction');
  cpSync(join(folder, 'node_modules', '@wllama'), join(to, '@wllama'), { recursive: true });

  const build = join(project, 'src', 'kernels', 'build.ts');
  let source = readFileSync(build, 'utf8').replace(KNOWN_WLLAMA.version, version);
  for (const [hash, address] of Object.entries(KNOWN_WLLAMA.binaries)) {
    source = source.replace(hash, binaries[address].sha256);
  }
  writeFileSync(build, source);
  return project;
}

function run([command, ...args]: [string, ...string[]] | string[], cwd: string, env = process.env): boolean {
  const shell = process.platform === 'win32';
  return spawnSync(command as string, args, { cwd, env, stdio: 'inherit', shell }).status === 0;
}
