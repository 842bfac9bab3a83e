/**
 * Each of the examples, built as its folder says with the package as it was packed, does what it says. Their chat model is a tiny one
 * under the name of the embedded one.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import sirv from 'sirv';
import { build, type InlineConfig } from 'vite';
import { addToCatalog } from '../src/cli/catalog.ts';
import type { Catalog } from '../src/models/models.ts';
import { expect, test } from './support/fixtures.ts';
import { installPacked, PACKED } from './support/packed.ts';
import { path } from './support/paths.ts';
import { startHost, untilKept } from './support/static-hosts.ts';
import { toneWav } from './support/wav.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';
import { tinyCatalogModel } from './tiny-model/write-tiny-models.ts';

const EXAMPLES = join(PACKED, 'examples');
const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'credentialless' };

test.beforeAll(async () => {
  installPacked();
  rmSync(EXAMPLES, { recursive: true, force: true });
  cpSync(path('examples'), EXAMPLES, { recursive: true });
  await writeModelsPackage(join(EXAMPLES, 'node_modules/llamatab-models'));
});

/** `llamatab-models` with a tiny chat model in place of its own. The encoder is the real one, so that what is found can be right. */
async function writeModelsPackage(folder: string): Promise<void> {
  const embedded: Catalog = JSON.parse(readFileSync(path('public/models/catalog.json'), 'utf8'));
  const encoder = embedded.models.find(({ id }) => id === 'all-minilm-l6-v2');
  if (encoder === undefined) throw new Error('The embedded encoder has another id.');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'llamatab-models', version: '0.1.0' }));
  const source = join(EXAMPLES, 'tiny.gguf');
  writeFileSync(source, tinyModel());
  const catalog = join(folder, 'catalog.json');
  const described = { id: 'smollm2-135m-instruct', name: 'Tiny model for tests' };
  const options = { aliases: [], limit: Infinity, copy: false, makeDefault: true, replace: true, dryRun: false };
  const tiny = await addToCatalog({ ...options, source, catalog, described }, () => {});
  writeFileSync(catalog, JSON.stringify({ version: 1, default: tiny.id, models: [tiny, encoder] }));
  cpSync(path(`public/models/${encoder.id}`), join(folder, encoder.id), { recursive: true });
}

async function built(name: string, config: InlineConfig = {}): Promise<string> {
  const root = join(EXAMPLES, name);
  await build({ root, logLevel: 'warn', ...config, build: { emptyOutDir: true, ...config.build } });
  return join(root, config.build?.outDir ?? 'dist');
}

const asked = async (page: Page) => {
  await page.getByRole('button', { name: 'Ask' }).click();
  await expect(page.locator('#answer')).toHaveText(/\w.{10}/s);
};

const USES: Record<string, (page: Page) => Promise<void>> = {
  'fetch-sse': asked,
  'openai-sdk': async (page) => {
    await expect(page.getByRole('status')).toHaveText('Tiny model for tests: loaded');
    await asked(page);
  },
  'ai-sdk-react': async (page) => {
    await page.getByRole('button', { name: 'Ask' }).click();
    await expect(page.locator('[data-role="assistant"]')).toHaveText(/\w.{10}/s);
    // It has ended without an error: another one can be asked.
    await expect(page.getByRole('button', { name: 'Ask' })).toBeEnabled();
    await expect(page.getByRole('alert')).toHaveCount(0);
  },
  'langchain-rag': async (page) => {
    await asked(page);
    await expect(page.locator('#found')).toHaveText(/^The bakery/);
  },
  'structured-output': async (page) => {
    await page.getByRole('button', { name: 'Ask' }).click();
    await expect(page.locator('#answer')).toHaveText(/, (Africa|America|Asia|Australia|Europe): \d+ people$/);
  },
  'tool-calling': async (page) => {
    await asked(page);
    await expect(page.locator('#called')).toHaveText(/^temperature\((Paris\) = 18|Oslo\) = 4)$/);
  },
  'speech-to-text': async (page) => {
    await expect(page.getByRole('status')).toHaveText(/listens$/);
    await page.getByLabel('A recording').setInputFiles({ name: 'a.wav', mimeType: 'audio/wav', buffer: toneWav(440) });
    await expect(page.locator('#answer')).toHaveText(/\w/);
  },
  'worker-only': asked,
  'cloud-app': asked,
  workbox: async (page) => {
    await asked(page);
    const worker = () => navigator.serviceWorker.controller?.scriptURL;
    expect(await page.evaluate(worker)).toBe(`${page.url()}service-worker.js`);
    // Workbox has a route for every GET of the site, and leaves this one to llamatab.
    expect(await page.evaluate(async () => (await fetch('v1/models')).headers.has('X-Llamatab'))).toBe(true);
    await page.reload();
    await asked(page);
    await page.context().setOffline(true);
    await page.reload();
    await asked(page);
  },
  pwa: async (page) => {
    await asked(page);
    const session = await page.context().newCDPSession(page);
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
    expect(installabilityErrors.map(({ errorId }) => errorId)).not.toContain('no-manifest');
    const { errors, manifest } = await session.send('Page.getAppManifest');
    expect([errors, manifest.startUrl]).toEqual([[], page.url()]);
    await page.reload();
    await asked(page);
    await untilKept(page);
    await page.context().setOffline(true);
    await page.reload();
    await asked(page);
  },
};

/** A tiny model that hears, in the folder where `npx llamatab add` would put a real one. */
function addListener(site: string): void {
  const { model, files } = tinyCatalogModel('hears', { sense: 'audio' });
  const folder = join(site, 'models');
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  writeFileSync(join(folder, 'catalog.json'), JSON.stringify({ version: 1, default: model.id, models: [model] }));
}

for (const [name, use] of Object.entries(USES)) {
  test(name, async ({ page }) => {
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    const folder = await built(name);
    if (name === 'speech-to-text') addListener(folder);
    const host = await startHost(folder, { missing: 404, headers: ISOLATED });
    await page.goto(host.url);
    await use(page);
    expect(errors).toEqual([]);
    await host.stop();
  });
}

test('each example has its test', () => {
  const list = readFileSync(path('examples/README.md'), 'utf8').matchAll(/^\| `([\w-]+)` \|/gm);
  const names = [...list].map(([, name = '']) => name);
  expect(names.sort()).toEqual(Object.keys(USES).sort());
  expect(names.filter((name) => !existsSync(path(`examples/${name}/index.html`)))).toEqual([]);
});

test('a site with a relative base, entered by the address of one of its views', async ({ page, site }) => {
  const folder = await built('openai-sdk', { base: './', build: { outDir: 'relative' } });
  site.fallback(sirv(folder, { dev: true }));
  site.mount('/app/');
  // As the host of a single-page application answers: the same page at every address.
  const html = readFileSync(`${folder}/index.html`, 'utf8').replaceAll('"./', '"/app/');
  site.route('/app/chat/42', (_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(html);
  });
  await page.goto(`${site.url}app/chat/42`);
  await expect(page.getByRole('status')).toHaveText('Tiny model for tests (tiny): loaded');
  await asked(page);
  expect(site.requests.filter((path) => path.startsWith('/app/chat/'))).toEqual(['/app/chat/42']);
});
