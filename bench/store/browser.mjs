/**
 * A Chromium in a group of its own, so that all its processes can be measured and ended.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { chromium } from '@playwright/test';
import { ARGS, createProfile, removeProfile } from '../browser.mjs';

/** @param {string | null} path null for the Chromium that Playwright downloaded */
export function executableOf(path) {
  const executable = path ?? chromium.executablePath();
  return { executable, version: spawnSync(executable, ['--version'], { encoding: 'utf8' }).stdout.trim() };
}

/**
 * @param {string} executable
 * @param {string} url opened with a fresh profile
 * @param {string[]} args beside those that every benchmark has
 */
export function openBrowser(executable, url, args = []) {
  const profile = createProfile();
  const browser = spawn(executable, [...ARGS, ...args, `--user-data-dir=${profile}`, url], {
    stdio: 'ignore',
    detached: true,
  });
  const gone = new Promise((resolve) => browser.on('exit', resolve));
  const pid = /** @type {number} */ (browser.pid);
  return {
    memory: () => memoryOf(pid),
    async close() {
      process.kill(-pid, 'SIGKILL');
      await gone;
      await removeProfile(profile);
    },
  };
}

/**
 * Bytes of private memory of all processes of a group. Linux only.
 * @param {number} group
 */
function memoryOf(group) {
  let bytes = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) !== group) continue;
      bytes += Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1] ?? 0) * 1024;
    } catch {
      // The process has ended meanwhile.
    }
  }
  return bytes;
}
