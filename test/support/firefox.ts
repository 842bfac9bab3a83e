/** Firefox, where one is installed. It is none of Playwright's: a page does what a test would do, and posts what it saw. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { SiteServer } from './site-server.ts';

export const FIREFOX = [process.env.FIREFOX_PATH, 'firefox', 'firefox-esr'].find(
  (command) => command !== undefined && spawnSync(command, ['--version']).status === 0,
);
export const NO_FIREFOX = 'There is no Firefox here: FIREFOX_PATH names one.';

export interface FirefoxOptions {
  /** Of `about:config`. */
  preferences?: Record<string, boolean>;
  environment?: Record<string, string>;
}

/** Runs a module's text in a page of a Firefox of its own; what it exports as `default` is the result. */
export async function inFirefox<T>(
  site: SiteServer,
  code: string,
  { preferences = {}, environment = {} }: FirefoxOptions = {},
): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), 'llamatab-firefox-'));
  const lines = Object.entries(preferences).map(([name, value]) => `user_pref("${name}", ${value});\n`);
  writeFileSync(join(profile, 'user.js'), lines.join(''));
  const reported = new Promise<string>((resolve) => {
    site.route('/report', async (request, response) => {
      response.end();
      resolve(await text(request));
    });
  });
  site.put('/test/visit.js', code);
  const page = `<!doctype html><title>visit</title><script type="module">
    const report = (body) => fetch('/report', { method: 'POST', body: JSON.stringify(body) });
    import('/test/visit.js').then(({ default: value }) => report({ value }), (error) => report({ error: String(error) }));
  </script>`;
  site.route('/test/visit.html', (_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(page);
  });
  const browser = spawn(
    FIREFOX as string,
    ['--headless', '--no-remote', '--profile', profile, `${site.url}test/visit.html`],
    {
      stdio: 'ignore',
      detached: true,
      env: { ...process.env, ...environment },
    },
  );
  const gone = new Promise<string>((resolve) =>
    browser.on('exit', (code) => resolve(`{"error":"Firefox ended: ${code}"}`)),
  );
  try {
    const { value, error } = JSON.parse(await Promise.race([reported, gone]));
    if (error !== undefined) throw new Error(error);
    return value;
  } finally {
    // With all its processes.
    if (browser.pid !== undefined && browser.exitCode === null) process.kill(-browser.pid, 'SIGKILL');
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
