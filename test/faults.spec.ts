/** What can be wrong with a device, a host or a model file: each has a clear error, and an end. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { chat, engineWasm, expect, fetchIn, serveIn, test, user } from './support/fixtures.ts';
import { path, runtimeFile } from './support/paths.ts';
import type { SiteServer } from './support/site-server.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';
import { tinyCatalogModel } from './tiny-model/write-tiny-models.ts';

const question = { messages: user('hello'), max_tokens: 8 };

/** A catalog with one model, whose only file is `bytes`, as its hash says. */
async function putModel(site: SiteServer, bytes: Uint8Array): Promise<void> {
  const { model } = tinyCatalogModel('odd');
  const digest = await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes));
  const sha256 = Buffer.from(digest).toString('hex');
  const piece = { url: 'odd.gguf', size: bytes.length, sha256 };
  site.put('/models/odd.gguf', bytes);
  site.put('/models/catalog.json', {
    version: 1,
    default: 'odd',
    models: [{ ...model, files: [{ name: 'odd.gguf', size: bytes.length, sha256, pieces: [piece] }] }],
  });
}

/** The default model's state, once it is `loaded` or `failed`. */
async function settled(page: Page) {
  return page.evaluate(
    () =>
      new Promise<{ state: string; error?: string }>((resolve) => {
        server.subscribe(({ models }) => {
          const model = models.find((model) => model.default);
          if (model?.state === 'loaded' || model?.state === 'failed') resolve(model);
        });
      }),
  );
}

test('a model file that is no GGUF', async ({ page, site }) => {
  await putModel(site, Buffer.from('<!doctype html><title>Not a model</title>'));
  await serveIn(page, site);
  const { status, json } = await fetchIn(page, '/v1/chat/completions', question);
  expect(status).toBe(500);
  expect(json.error.message).toMatch(/not a GGUF: starts with "<!doctype html>/);
  expect(await settled(page)).toMatchObject({ state: 'failed', error: json.error.message });
});

test('a GGUF that is cut short', async ({ page, site }) => {
  await putModel(site, tinyModel().slice(0, 900_000));
  await serveIn(page, site);
  const { status, json } = await fetchIn(page, '/v1/chat/completions', question);
  expect(status).toBe(500);
  expect(json.error.message).toContain('truncated');
  expect(await settled(page)).toMatchObject({ state: 'failed' });
});

test('a GGUF that llama.cpp refuses', async ({ page, site }) => {
  // An architecture that is none, in a header that is otherwise sound.
  const bytes = Buffer.from(tinyModel());
  const at = bytes.indexOf('llama', bytes.indexOf('general.architecture'));
  bytes.write('lxxma', at);
  await putModel(site, bytes);
  await serveIn(page, site);
  const { status, json } = await fetchIn(page, '/v1/chat/completions', question);
  expect(status).toBe(500);
  expect(json.error.message).toContain('lxxma');
});

test('a piece that is missing, HTML or damaged is named; what came is kept; mended, it goes on', async ({
  page,
  site,
}) => {
  const { files } = tinyCatalogModel('tiny');
  const [, damaged] = [...files.keys()];
  const pieceUrl = `/models/${damaged}`;
  const good = files.get(damaged as string) as Uint8Array;

  site.route(pieceUrl, (_, response) => {
    response.statusCode = 404;
    response.end('gone');
  });
  await serveIn(page, site, { preload: false });
  const missing = await fetchIn(page, '/v1/chat/completions', question);
  expect(missing.status).toBe(503);
  expect(missing.json.error.message).toContain(damaged);
  expect(missing.json.error.message).toContain('404');

  site.route(pieceUrl, (_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>Home</title>');
  });
  const html = await fetchIn(page, '/v1/chat/completions', question);
  expect(html.json.error.message).toContain('web page instead of bytes');

  const flipped = Uint8Array.from(good);
  flipped[1000] = (flipped[1000] ?? 0) ^ 1;
  site.put(pieceUrl, flipped);
  const bad = await fetchIn(page, '/v1/chat/completions', question);
  expect(bad.json.error.message).toMatch(/SHA-256/);

  // The other pieces came meanwhile.
  site.put(pieceUrl, good);
  site.requests.length = 0;
  expect(await chat(page, question)).toHaveLength(8);
  expect(site.requests.filter((asked) => asked.includes('.gguf'))).toEqual([pieceUrl]);
});

for (const [what, fault, answer] of [
  ['a catalog that is missing', '/models/catalog.json', { status: 404, body: 'not found' }],
  ['a catalog that is HTML', '/models/catalog.json', { status: 200, body: '<!doctype html>' }],
  ['a wasm that is missing', engineWasm(), { status: 404, body: 'not found' }],
  ['a wasm that is HTML', engineWasm(), { status: 200, body: '<!doctype html>' }],
] as const) {
  test(what, async ({ page, site }) => {
    site.route(fault, (_, response) => {
      response.statusCode = answer.status;
      response.setHeader('Content-Type', 'text/html');
      response.end(answer.body);
    });
    await serveIn(page, site);
    const { status, json } = await fetchIn(page, '/v1/chat/completions', question);
    expect(status).toBeGreaterThanOrEqual(500);
    expect(json.error.message).toContain(fault.split('/').at(-1));
  });
}

test('an engine worker that is missing: serve() says so', async ({ page, site }) => {
  const worker = runtimeFile('worker.js');
  site.route(worker, (_, response) => {
    response.statusCode = 404;
    response.end('not found');
  });
  await page.goto(`${site.url}test/app.html`);
  await page.waitForFunction(() => 'llamatab' in globalThis);
  const error = await page.evaluate(() =>
    llamatab.serve().catch((error) => ({ type: error.type, message: error.message })),
  );
  expect(error).toMatchObject({ type: 'unavailable_error', message: expect.stringContaining(worker) });
});

test('a service worker that is missing: server.fetch answers all the same', async ({ page, site }) => {
  site.route('/llamatab-sw.js', (_, response) => {
    response.statusCode = 404;
    response.end('not found');
  });
  await serveIn(page, site);
  expect(await page.evaluate(() => server.status.interceptsNot)).toContain('llamatab-sw.js');
  expect(await chat(page, question, 'server')).toHaveLength(8);
});

test('a browser without service workers', async ({ page, site }) => {
  await page.addInitScript(() => {
    Reflect.deleteProperty(Navigator.prototype, 'serviceWorker');
  });
  await serveIn(page, site);
  expect(await page.evaluate(() => server.status.interceptsNot)).toContain('no service workers');
  expect(await chat(page, question, 'server')).toHaveLength(8);
});

test('a browser without WebGPU computes on the CPU', async ({ page, site }) => {
  await serveIn(page, site);
  await settled(page);
  expect(await page.evaluate(() => server.status.models[0]?.runtime)).toMatchObject({ gpu: null, compat: false });
});

test('a browser without JSPI runs the compatible build, from the same site', async ({ page, site }) => {
  const file = runtimeFile('worker.js');
  const worker = readFileSync(path(`dist/site${file}`), 'utf8');
  site.put(file, `delete WebAssembly.Suspending; delete WebAssembly.promising; ${worker}`);
  await serveIn(page, site);
  expect(await chat(page, question)).toHaveLength(8);
  await settled(page);
  expect(await page.evaluate(() => server.status.models[0]?.runtime)).toMatchObject({ compat: true });
});

test.describe('without cross-origin isolation', () => {
  test.use({ siteOptions: { models: 'tiny', isolated: false } });

  test('there is no SharedArrayBuffer, and one thread answers', async ({ page, site }) => {
    await serveIn(page, site, { engine: { threads: 2 } });
    expect(await page.evaluate(() => [globalThis.crossOriginIsolated, server.status.isolated])).toEqual([false, false]);
    expect(await chat(page, question)).toHaveLength(8);
    await settled(page);
    expect(await page.evaluate(() => server.status.models[0]?.runtime?.threads)).toBe(1);
  });

  test('serve({ isolate: true }) reloads once, and then two threads answer', async ({ page, site }) => {
    await page.goto(`${site.url}test/app.html`);
    await page.waitForFunction(() => 'llamatab' in globalThis);
    const reloaded = page.waitForEvent('load');
    await page.evaluate(() => void llamatab.serve({ isolate: true }));
    await reloaded;
    await page.waitForFunction(() => 'llamatab' in globalThis);
    await page.evaluate(async () => {
      globalThis.server = await llamatab.serve({ isolate: true, engine: { threads: 2 } });
    });
    expect(await page.evaluate(() => server.status.isolated)).toBe(true);
    expect(await chat(page, question)).toHaveLength(8);
    await settled(page);
    expect(await page.evaluate(() => server.status.models[0]?.runtime?.threads)).toBe(2);
  });
});

test.describe('bad requests', () => {
  test('through the service worker', async ({ page, site }) => {
    await serveIn(page, site);
    const cases: [route: string, body: unknown, status: number, message: string][] = [
      ['/v1/chat/completions', '{"messages"', 500, 'parse error'],
      ['/v1/chat/completions', '', 500, 'parse error'],
      ['/v1/chat/completions', {}, 400, "'messages' is required"],
      ['/v1/chat/completions', { messages: 'hello' }, 400, "Expected 'messages' to be an array"],
      ['/v1/chat/completions', { ...question, temperature: 'hot' }, 400, "Field 'temperature'"],
      ['/v1/chat/completions', { ...question, model: 'gpt-9' }, 404, 'gpt-9'],
      ['/v1/completions', {}, 400, "key 'prompt' not found"],
      ['/v1/embeddings', { input: 'hello' }, 501, 'does not support embeddings'],
      ['/v1/nothing', {}, 404, 'File Not Found'],
    ];
    for (const [route, body, status, message] of cases) {
      const answer = await fetchIn(page, route, body);
      expect(answer.status, `${route} ${JSON.stringify(body)}`).toBe(status);
      expect(answer.json.error).toMatchObject({ code: status, message: expect.stringContaining(message) });
    }
    expect(await chat(page, question)).toHaveLength(8);
  });
});
