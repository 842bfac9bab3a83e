/** What a visitor does with models, through `server.models` and the routes below it: in any tab, on the real engine. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import type { ModelStatus, Server } from '../src/index.ts';
import { addFile, chat, expect, fetchIn, putTinyModels, serveIn, user } from './support/fixtures.ts';
import { damagePart, test } from './support/weights-fixture.ts';
import { type Content, syntheticGguf } from './support/weights-server.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';

/** Of another seed than the site's: it gives other texts. */
const TINY = tinyModel({ seed: 7 });
const contentOf = (bytes: Uint8Array): Content => ({
  size: bytes.length,
  read: (start, end) => bytes.subarray(start, end),
});
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };
const asked = (model: string) => ({ ...question, model });

const statusOf = (page: Page, id: string): Promise<ModelStatus | undefined> =>
  page.evaluate((id) => server.status.models.find((model) => model.id === id), id);
const waitFor = (page: Page, id: string, wanted: Record<string, unknown>) =>
  expect
    .poll(async () => ({ ...(await statusOf(page, id))?.files, ...(await statusOf(page, id)) }))
    .toMatchObject(wanted);

/** Calls a method of `server.models`; an error is its message. */
function call<Verb extends keyof Server['models']>(page: Page, verb: Verb, ...given: unknown[]): Promise<unknown> {
  return page.evaluate(
    async ({ verb, given }) => {
      const method = server.models[verb] as (...given: unknown[]) => Promise<unknown>;
      return method(...given).catch((error: Error) => `${error.name}: ${error.message}`);
    },
    { verb, given },
  );
}

/** What `export` gives: name, length and SHA-256. */
function exported(page: Page, model: string, file?: string) {
  return page.evaluate(
    async ({ model, file }) => {
      const response = await server.models.export(model, file === undefined ? {} : { file });
      const bytes = await response.arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      return {
        size: Number(response.headers.get('Content-Length')) - bytes.byteLength,
        sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''),
      };
    },
    { model, file },
  );
}

test.describe('adding', () => {
  test('a URL is added by its header alone, downloaded once, and answers in every tab', async ({
    page,
    site,
    weights,
    context,
  }) => {
    weights.put('mine.gguf', contentOf(TINY));
    await serveIn(page, site, { preload: false });
    expect(await call(page, 'add', `${weights.url}mine.gguf`)).toBe('mine');
    await waitFor(page, 'mine', {
      source: 'url',
      state: 'available',
      files: { state: 'absent', loaded: 0, total: TINY.length, pinned: false },
    });
    const second = await context.newPage();
    await serveIn(second, site, { preload: false });
    expect(await second.evaluate(() => server.status.role)).toBe('guest');
    // Both at once, from two tabs: one download.
    const before = weights.sent;
    expect(await Promise.all([call(page, 'download', 'mine'), call(second, 'download', 'mine')])).toEqual([
      'mine',
      'mine',
    ]);
    expect(weights.sent - before).toBeLessThanOrEqual(TINY.length);
    await waitFor(second, 'mine', { state: 'available', loaded: TINY.length });
    const text = await chat(second, asked('mine'));
    expect(text).toHaveLength(8);
    expect(await chat(page, asked('mine'))).toBe(text);
    expect(await chat(page, asked('tiny'))).not.toBe(text);
    expect(await exported(page, 'mine', 'mine.gguf')).toEqual({ size: 0, sha256: sha256(TINY) });
  });

  test('a hub’s owner/repo:quant, with a token that is sent and not kept', async ({ page, site, weights }) => {
    const path = 'tiny-Q8_0.gguf';
    weights.put(`owner/repo/resolve/main/${path}`, contentOf(TINY));
    const listing = [{ type: 'file', path, size: TINY.length, lfs: { oid: sha256(TINY), size: TINY.length } }];
    weights.put('api/models/owner/repo/tree/main', contentOf(Buffer.from(JSON.stringify(listing))));
    await serveIn(page, site, { preload: false });
    const options = { endpoint: weights.url.slice(0, -1), token: 'hf_secret' };
    const id = (await call(page, 'download', 'owner/repo:Q8_0', options)) as string;
    expect(id).toBe('owner/repo:Q8_0');
    expect(await chat(page, asked(id))).toHaveLength(8);
    expect((await statusOf(page, id))?.source).toBe('hub');
    const kept = await page.evaluate(async () => {
      return new Promise<string>((resolve) => {
        const opening = indexedDB.open('llamatab');
        opening.onsuccess = () => {
          const all = opening.result.transaction('models').objectStore('models').getAll();
          all.onsuccess = () => resolve(JSON.stringify(all.result));
        };
      });
    });
    expect(kept).toContain('owner/repo');
    expect(kept).not.toContain('hf_secret');
  });

  test('a file from the disk, in a tab whose engine is another’s', async ({ page, site, context }) => {
    await serveIn(page, site, { preload: false });
    const second = await context.newPage();
    await serveIn(second, site, { preload: false });
    expect(await second.evaluate(() => server.status.role)).toBe('guest');
    expect(await addFile(second, 'Disk Model.gguf', TINY, 'disk')).toBe('disk');
    await waitFor(second, 'disk', { source: 'file', files: { state: 'complete' } });
    const text = await chat(second, asked('disk'));
    // The tab that copied is gone, the model stays.
    await second.close();
    expect(await chat(page, asked('disk'))).toBe(text);
  });

  test('what is no model is refused with what it is', async ({ page, site, weights }) => {
    await serveIn(page, site, { preload: false });
    expect(await addFile(page, 'a.gguf', Buffer.from('<!doctype html><title>Log in</title>'))).toMatch(
      /is not a GGUF: .*<!doctype/,
    );
    expect(await addFile(page, 'empty.gguf', Buffer.alloc(0))).toMatch(/empty\.gguf/);
    expect(await addFile(page, 'cut.gguf', TINY.slice(0, TINY.length / 2))).toMatch(/cut\.gguf.*(short|bytes|ends)/);
    expect(await call(page, 'add', `${weights.url}none.gguf`)).toMatch(/LlamatabError: .*none\.gguf.*404/);
    expect(await call(page, 'add', 'nobody')).toMatch(/The model 'nobody' does not exist\. Known models: tiny, tiny-2/);
    expect(await page.evaluate(async () => (await server.models.list()).map(({ id }) => id))).toEqual([
      'tiny',
      'tiny-2',
    ]);
  });

  test('an archive from another device brings its model along', async ({ page, site, browser }) => {
    await serveIn(page, site, { preload: false });
    await addFile(page, 'mine.gguf', TINY, 'mine');
    const text = await chat(page, asked('mine'));
    const archive = await page.evaluate(async () => {
      const bytes = new Uint8Array(await (await server.models.export('mine')).arrayBuffer());
      return bytes.reduce((text, byte) => text + String.fromCharCode(byte), '');
    });
    const other = await (await browser.newContext()).newPage();
    await serveIn(other, site, { preload: false });
    expect(await addFile(other, 'mine.tar', Buffer.from(archive, 'latin1')).catch(String)).toMatch(/mine|progress/);
    expect(await chat(other, asked('mine'))).toBe(text);
    await other.context().close();
  });
});

test('a link saves a model: the browser’s own download, from the device', async ({ page, site }) => {
  await serveIn(page, site);
  await chat(page, question);
  const { json } = await fetchIn(page, '/v1/models/tiny');
  expect(json.files.state).toBe('complete');
  const downloading = page.waitForEvent('download');
  await page.evaluate(() => {
    const link = document.createElement('a');
    link.href = '/v1/models/export?model=tiny&file=tiny.gguf';
    // Without `download`, by which Chromium would pass the service worker by.
    document.body.append(link);
    link.click();
  });
  const download = await downloading;
  expect(download.suggestedFilename()).toBe('tiny.gguf');
  expect(sha256(readFileSync(await download.path()))).toBe(sha256(tinyModel()));
});

test('a download is seen, paused and taken up again from any tab, and thrown away', async ({
  page,
  site,
  weights,
  context,
}) => {
  const content = syntheticGguf(12);
  weights.put('noise.gguf', content);
  await serveIn(page, site, { preload: false });
  const second = await context.newPage();
  await serveIn(second, site, { preload: false });
  // Slow from the start: at full speed the whole file is in the sockets' buffers before the reader has stopped.
  weights.rate = 1e6;
  await call(second, 'add', `${weights.url}noise.gguf`);
  // Its header, and no more than comes with it.
  expect(weights.sent).toBeLessThan(content.size / 2);
  const begun = await fetchIn(second, '/v1/models', { model: 'noise' });
  expect(begun.json).toEqual({ success: true, model: 'noise' });
  for (const tab of [page, second]) {
    await expect.poll(async () => (await statusOf(tab, 'noise'))?.progress?.speed ?? 0).toBeGreaterThan(0);
    expect((await statusOf(tab, 'noise'))?.progress).toMatchObject({
      total: content.size,
      eta: expect.any(Number),
      state: 'downloading',
    });
  }
  await call(page, 'pause', 'noise');
  await expect.poll(async () => (await statusOf(second, 'noise'))?.progress?.state).toBe('paused');
  weights.rate = 0;
  await call(second, 'resume', 'noise');
  await waitFor(page, 'noise', { state: 'available', loaded: content.size });

  await call(page, 'remove', 'noise');
  await expect.poll(() => statusOf(second, 'noise')).toBeUndefined();
  expect(await call(second, 'load', 'noise')).toMatch(/does not exist/);

  await call(page, 'add', `${weights.url}noise.gguf`);
  weights.rate = 1e6;
  const waiting = call(page, 'download', 'noise');
  await expect.poll(async () => (await statusOf(page, 'noise'))?.progress?.speed ?? 0).toBeGreaterThan(0);
  await call(second, 'cancel', 'noise');
  expect(await waiting).toMatch(/LlamatabError: .*cancel/i);
  await waitFor(page, 'noise', { loaded: 0 });
});

test('damage is found and mended, that part alone', async ({ page, site }) => {
  await serveIn(page, site);
  await chat(page, question);
  expect(await call(page, 'verify', 'tiny')).toMatchObject({ model: 'tiny', ok: true, bad: [] });
  await damagePart(page);
  const report = (await call(page, 'verify', 'tiny')) as { ok: boolean; bad: { reason: string }[] };
  expect(report).toMatchObject({ ok: false, bad: [{ file: 'tiny.gguf', reason: expect.stringContaining('SHA-256') }] });
  site.requests.length = 0;
  expect(await call(page, 'repair', 'tiny')).toMatchObject({ bad: [{ file: 'tiny.gguf' }] });
  expect(site.requests.filter((path) => path.includes('.gguf'))).toHaveLength(1);
  expect(await call(page, 'verify', 'tiny')).toMatchObject({ ok: true });
});

test('what a model needs is known before its download', async ({ page, site }) => {
  await serveIn(page, site, { preload: false });
  const space = (await call(page, 'space', 'tiny', { contextLength: 512 })) as Record<'disk' | 'memory', object>;
  expect(space.disk).toMatchObject({ missing: tinyModel().length, enough: true, quota: expect.any(Number) });
  expect(space.memory).toMatchObject({ contextLength: 512, kvCache: expect.any(Number), enough: true });
  expect((await statusOf(page, 'tiny'))?.files.state).toBe('absent');
});

test.describe('memory', () => {
  test('the least recently used model makes room, a pinned one stays', async ({ page, site }) => {
    putTinyModels(site, { a: {}, b: { seed: 2 }, c: { seed: 3 } });
    await serveIn(page, site, { preload: false });
    await chat(page, asked('a'));
    const memory = (await statusOf(page, 'a'))?.runtime?.memory ?? 0;
    expect(memory).toBeGreaterThan(tinyModel().length);
    await page.evaluate(() => server.stop());
    // Room for two.
    await serveIn(page, site, { preload: false, memory: memory * 2.5 });
    const loaded = async () =>
      (await page.evaluate(() => server.models.list())).filter(({ state }) => state === 'loaded').map(({ id }) => id);
    const texts = { a: await chat(page, asked('a')), b: await chat(page, asked('b')) };
    expect(await loaded()).toEqual(['a', 'b']);
    await chat(page, asked('c'));
    expect(await loaded()).toEqual(['b', 'c']);
    // Loaded again by whoever asks.
    expect(await chat(page, asked('a'))).toBe(texts.a);
    expect(await loaded()).toEqual(['a', 'c']);
    await call(page, 'pin', 'a');
    await call(page, 'pin', 'c');
    const { status, json } = await fetchIn(page, '/v1/chat/completions', asked('b'));
    expect([status, json.error.message]).toEqual([503, expect.stringContaining("taken by 'c', 'a', pinned")]);
    await call(page, 'pin', 'c', false);
    expect(await chat(page, asked('b'))).toBe(texts.b);
    expect(await loaded()).toEqual(['a', 'b']);
    expect((await fetchIn(page, '/v1/chat/completions?autoload=false', asked('c'))).json.error.message).toBe(
      'model is not loaded',
    );
  });

  test('a stream is never unloaded for another model: that one waits', async ({ page, site }) => {
    await serveIn(page, site, { memory: 1 });
    const refused = await fetchIn(page, '/v1/chat/completions', question);
    expect([refused.status, refused.json.error.param]).toEqual([503, 'model']);
    expect(refused.json.error.message).toMatch(/takes \d+ MiB of memory, and this site allows 1 MiB/);
    await page.evaluate(() => server.stop());

    await serveIn(page, site, { preload: false });
    await chat(page, question);
    const memory = (await statusOf(page, 'tiny'))?.runtime?.memory ?? 0;
    await page.evaluate(() => server.stop());
    await serveIn(page, site, { memory: memory * 1.5 });
    const long = { ...question, max_tokens: 1500, stream: true, seed: 1, ignore_eos: true };
    const ends = await page.evaluate(
      async ({ long, other }) => {
        const post = (body: unknown) => fetch('/v1/chat/completions', { method: 'POST', body: JSON.stringify(body) });
        const streaming = await post(long);
        const reader = (streaming.body as ReadableStream<Uint8Array>).getReader();
        await reader.read();
        const order: string[] = [];
        const answered = post(other)
          .then((response) => response.json())
          .then((json) => {
            order.push('other');
            return json;
          });
        let text = '';
        const decoder = new TextDecoder();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          text += decoder.decode(value, { stream: true });
        }
        order.push('stream');
        const json = await answered;
        return { order, done: text.endsWith('data: [DONE]\n\n'), content: json.choices[0].message.content };
      },
      { long, other: asked('tiny-2') },
    );
    expect(ends).toEqual({ order: ['stream', 'other'], done: true, content: expect.any(String) });
  });

  test('a model that nobody uses sleeps, and wakes for the next request', async ({ page, site }) => {
    await serveIn(page, site, { sleepIdleSeconds: 0.5 });
    const text = await chat(page, question);
    await expect.poll(async () => (await fetchIn(page, '/v1/models')).json.data[0].status.value).toBe('sleeping');
    await waitFor(page, 'tiny', { state: 'available' });
    expect(await chat(page, question)).toBe(text);
  });
});

test('llama-server’s own routes for a fetch at the root', async ({ page, site, weights }) => {
  weights.put('mine.gguf', contentOf(TINY));
  await serveIn(page, site, { preload: false });
  const added = await fetchIn(page, '/models', { model: `${weights.url}mine.gguf`, wait: true });
  expect(added.json).toEqual({ success: true, model: 'mine' });
  const remove = (path: string) =>
    page.evaluate(async (path) => {
      const response = await fetch(path, { method: 'DELETE' });
      return { status: response.status, json: await response.json() };
    }, path);
  expect(await remove('/models/mine')).toEqual({ status: 200, json: { success: true } });
  expect((await remove('/models?model=mine')).status).toBe(404);
  expect((await remove('/v1/models/mine')).status).toBe(404);
});
