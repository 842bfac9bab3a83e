/**
 * A browser as a user has it: nobody debugs it. Playwright, as DevTools, would listen to every chunk that a page receives,
 * which takes the engine's cores from it.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
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

/** @param {string | null} path null for the Chromium that Playwright downloaded */
export function createBrowser(path) {
  const executable = path ?? chromium.executablePath();
  return {
    version: spawnSync(executable, ['--version'], { encoding: 'utf8' }).stdout.trim(),
    /**
     * Opens an address, and closes the browser once `done` is settled.
     * @template T
     * @param {string} profile its folder, kept
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
        // It writes its caches to the disk and goes.
        browser.kill('SIGTERM');
        await ended;
      }
    },
  };
}
