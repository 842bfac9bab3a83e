/**
 * A browser as a user has it, without a debugger. Playwright, like DevTools, would follow every chunk that a page receives, on
 * the cores that the engine needs.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { chromium } from '@playwright/test';

export const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--no-default-browser-check',
  '--disable-background-networking',
  '--disable-sync',
];

/** A new, empty profile's folder. */
export const createProfile = () => mkdtempSync(join(tmpdir(), 'llamatab-bench-'));

/**
 * Removes a profile. Some of a browser's processes go on writing for a moment after it has exited, so that a folder which was
 * emptied isn't empty (ENOTEMPTY): it is tried again for 10 seconds. A measurement is never lost to its clean-up: what can't be
 * removed then is left to the system, with a warning.
 * @param {string} profile
 * @param {{ maxRetries?: number, retryDelay?: number }} [patience]
 */
export async function removeProfile(profile, { maxRetries = 20, retryDelay = 500 } = {}) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await rm(profile, { recursive: true, force: true });
    } catch (error) {
      if (attempt === maxRetries) {
        return console.error(`llamatab: ${profile} could not be removed: ${error}. Remove it by hand.`);
      }
    }
    await setTimeout(retryDelay);
  }
}

/** @param {string | null} path null for the Chromium that Playwright downloaded */
export function createBrowser(path) {
  const executable = path ?? chromium.executablePath();
  return {
    version: spawnSync(executable, ['--version'], { encoding: 'utf8' }).stdout.trim(),
    /**
     * Opens an address, and closes the browser once `done` is settled.
     * @template T
     * @param {string} profile its folder, kept: see `createProfile` and `removeProfile`
     * @param {string} url
     * @param {Promise<T>} done
     * @returns {Promise<T>}
     */
    async visit(profile, url, done) {
      const browser = spawn(executable, [...ARGS, `--user-data-dir=${profile}`, url], { stdio: 'ignore' });
      const ended = new Promise((resolve, reject) => {
        browser.once('error', reject);
        browser.once('exit', resolve);
      });
      const died = ended.then((code) =>
        Promise.reject(new Error(`The browser ended (${code}) before its page was done.`)),
      );
      try {
        return await Promise.race([done, died]);
      } finally {
        died.catch(() => {});
        // It writes its caches to the disk, and exits.
        browser.kill('SIGTERM');
        await ended;
      }
    },
  };
}
