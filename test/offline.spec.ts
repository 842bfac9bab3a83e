/** After one visit everything is on the device: no byte of a model is fetched twice, and no network is needed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addFile, chat, engineWasm, expect, serveIn, test, user } from './support/fixtures.ts';
import { launch, type OwnBrowser } from './support/own-browser.ts';
import { startWeightsServer } from './support/weights-server.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

test('a browser that starts without a network has the models that were added and downloaded', async ({ site }) => {
  test.setTimeout(60_000);
  const weights = await startWeightsServer();
  const remote = tinyModel({ seed: 7 });
  weights.put('remote.gguf', { size: remote.length, read: (start, end) => remote.subarray(start, end) });
  const profile = mkdtempSync(join(tmpdir(), 'llamatab-offline-'));
  const ids = ['tiny', 'remote', 'disk'];
  const browsers: OwnBrowser[] = [];
  const start = async () => {
    const browser = await launch(profile);
    browsers.push(browser);
    return browser;
  };
  try {
    const online = await start();
    await serveIn(online.page, site);
    await online.page.evaluate((url) => server.models.download(url), `${weights.url}remote.gguf`);
    await addFile(online.page, 'disk.gguf', tinyModel({ seed: 8 }));
    const texts: string[] = [];
    for (const model of ids) texts.push(await chat(online.page, { ...question, model }));
    expect(new Set(texts).size).toBe(ids.length);
    await expect
      .poll(() => online.page.evaluate(async (wasm) => (await caches.match(wasm)) !== undefined, engineWasm()))
      .toBe(true);
    // Once more, so that the page itself is kept too.
    await serveIn(online.page, site);
    await online.close();

    await site.goOffline();
    await weights.close();
    const offline = await start();
    await serveIn(offline.page, site);
    for (const [i, model] of ids.entries()) expect(await chat(offline.page, { ...question, model })).toBe(texts[i]);
    const states = await offline.page.evaluate(async () =>
      (await server.models.list()).map(({ id, source, files }) => [id, source, files.state]),
    );
    expect(states).toEqual([
      ['tiny', 'site', 'complete'],
      ['tiny-2', 'site', 'absent'],
      ['disk', 'file', 'complete'],
      ['remote', 'url', 'complete'],
    ]);
  } finally {
    for (const { kill } of browsers) kill();
    await Promise.all(browsers.map(({ gone }) => gone));
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
});
