/**
 * What `npm start` and `npm test` need on a fresh machine. Plain JavaScript on Node's own modules: it runs before anything
 * is installed.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Runs a command with its output shown.
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 * @returns {boolean} whether it succeeded
 */
export function run(command, args, env = {}) {
  const shell = process.platform === 'win32';
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell, env: { ...process.env, ...env } });
  return status === 0;
}

/**
 * `run`, and the end of this process if it fails.
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
export function mustRun(command, args, env) {
  if (!run(command, args, env)) {
    console.error(`\nllamatab: "${[command, ...args].join(' ')}" failed: see above.`);
    process.exit(1);
  }
}

/** Installs the packages of package-lock.json, unless that was done. */
export function installPackages() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`llamatab needs Node 20.19 or newer; this is ${process.versions.node}.`);
    process.exit(1);
  }
  const stamp = join(root, 'node_modules', '.llamatab-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  mustRun('npm', ['ci', '--no-fund', '--no-audit']);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

/** Where distributions and installers put a Chromium. */
const CHROMIUMS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

/**
 * A Chromium for the browser tests: `CHROMIUM_PATH`, one that is installed, Playwright's download, or Debian's package.
 * @returns {string | null} its path; null for the one that Playwright downloaded and finds itself
 */
export function findOrInstallChromium() {
  const configured = process.env.CHROMIUM_PATH;
  if (configured) {
    if (existsSync(configured)) return configured;
    console.error(`llamatab: CHROMIUM_PATH is ${configured}, where there is nothing.`);
    process.exit(1);
  }
  const installed = CHROMIUMS.find((path) => existsSync(path));
  if (installed) return installed;
  if (run('npx', ['playwright', 'install', '--with-deps', 'chromium'])) return null;
  console.error('llamatab: Playwright could not download a Chromium; trying apt-get.');
  run('apt-get', ['update']);
  if (run('apt-get', ['install', '-y', 'chromium'])) return '/usr/bin/chromium';
  console.error('llamatab: no Chromium for the browser tests. Install one, or set CHROMIUM_PATH to where it is.');
  return process.exit(1);
}
