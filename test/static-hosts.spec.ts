/**
 * The site of the README's "without Vite", made from the packed tarball, on servers that behave like the hosts that people use. On each:
 * the first visit, a deploy, and a visit without a network.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, test } from './support/fixtures.ts';
import { installPacked, llamatab, newSite, PACKED } from './support/packed.ts';
import { path } from './support/paths.ts';
import {
  type Host,
  type HostBehaviour,
  parseHeaders,
  startHost,
  startPython,
  untilKept,
} from './support/static-hosts.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';

const MIB = 2 ** 20;
const HAS_PYTHON = spawnSync('python3', ['--version']).status === 0;

/** The recipes of docs/deployment.md, by the name of their file. */
function recipe(file: string): string {
  const docs = readFileSync(path('docs/deployment.md'), 'utf8');
  const found = new RegExp(`^\`\`\`\\w*\\n# ${file}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(docs)?.[1];
  if (found === undefined) throw new Error(`docs/deployment.md has no ${file}.`);
  return found;
}

const isolation = () => parseHeaders(recipe('_headers'));

interface Case {
  start: (files: string) => Promise<Host>;
  /** Whether the engine may use threads there. */
  isolated: boolean;
}

const behaves = (behaviour: () => HostBehaviour, isolated = false): Case => ({
  start: (files) => startHost(files, behaviour()),
  isolated,
});

const HOSTS: Record<string, Case> = {
  'GitHub Pages: a project’s folder, ten minutes of cache for every file, no header of one’s own': behaves(() => ({
    folder: '/project/',
    cacheControl: 'max-age=600',
    gzip: ['.html', '.js', '.json', '.wasm'],
    missing: 404,
  })),
  'Netlify: headers of one’s own, every unknown path the first page': behaves(
    () => ({
      cacheControl: 'public, max-age=0, must-revalidate',
      headers: isolation(),
      gzip: ['.html', '.js', '.json', '.wasm'],
      missing: 'index.html',
    }),
    true,
  ),
  'Cloudflare Pages: files of 25 MiB at most': behaves(
    () => ({
      cacheControl: 'public, max-age=0, must-revalidate',
      headers: isolation(),
      gzip: ['.html', '.js', '.json'],
      missing: 'index.html',
      limit: 25 * MIB,
    }),
    true,
  ),
  'S3: a folder of a bucket, wasm as binary/octet-stream, 403 for what is not there': behaves(() => ({
    folder: '/bucket/site/',
    types: { '.html': 'text/html', '.js': 'application/javascript', '.wasm': 'binary/octet-stream' },
    missing: 403,
  })),
  'nginx without a type for wasm, and all scripts immutable, the service worker too': behaves(() => ({
    types: { '.html': 'text/html', '.js': 'application/javascript' },
    cacheControl: (file) => (file.endsWith('.html') ? 'no-cache' : 'public, max-age=31536000, immutable'),
    gzip: ['.html', '.js'],
    missing: 404,
  })),
  'python3 -m http.server': { start: startPython, isolated: false },
};

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>A page</title>
<script type="module">
  import { serve } from './llamatab/llamatab.js';
  const server = await serve();
  globalThis.server = server;
</script>
`;

test.beforeAll(() => {
  installPacked();
  const folder = newSite('plain', { 'index.html': PAGE, 'tiny.gguf': tinyModel() });
  llamatab(folder, 'init');
  llamatab(folder, 'add', 'tiny.gguf', '--limit', '1M', '--license', 'MIT');
});

/** Asks by plain fetch, and says how the page stands. */
async function ask(page: Page) {
  await page.waitForFunction(() => globalThis.server?.status.state === 'ready');
  return page.evaluate(async () => {
    const response = await fetch('v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], max_tokens: 8, temperature: 0 }),
    });
    const { choices } = await response.json();
    return { text: choices[0].message.content as string, isolated: crossOriginIsolated };
  });
}

for (const [name, { start, isolated }] of Object.entries(HOSTS)) {
  test(name, async ({ page, context }) => {
    test.skip(start === startPython && !HAS_PYTHON, 'There is no python3 on this machine.');
    const files = newSite('deployed');
    cpSync(join(PACKED, 'plain'), files, { recursive: true });
    const host = await start(files);
    try {
      await page.goto(host.url);
      const first = await ask(page);
      expect(first).toEqual({ text: expect.stringMatching(/^.{8}$/s), isolated });

      // A deploy: the files that keep their names have other content.
      appendFileSync(join(files, 'llamatab-sw.js'), '\n// A later version.');
      writeFileSync(join(files, 'index.html'), PAGE.replace('A page', 'A later page'));
      const updated = page.evaluate(
        () =>
          new Promise<void>((resolve) => {
            navigator.serviceWorker.addEventListener('controllerchange', () => resolve(), { once: true });
          }),
      );
      await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
      await updated;
      await page.reload();
      expect(await ask(page)).toEqual(first);

      await untilKept(page);
      await host.stop();
      await context.setOffline(true);
      await page.reload();
      expect(await ask(page)).toEqual(first);
    } finally {
      await host.stop();
    }
  });
}

test('no file of a site is larger than 25 MiB', () => {
  const sizes = [join(PACKED, 'plain'), path('public/models')].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((file) => statSync(join(folder, file)))
      .filter((status) => status.isFile())
      .map(({ size }) => size),
  );
  expect(sizes.length).toBeGreaterThan(15);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(25 * MIB);
});
