/** The service worker may be stopped at any time, and replaced by a new version: neither loses a request or a slot. */
import type { Page } from '@playwright/test';
import { Chromium } from './chaos/chromium.ts';
import type { Outcome } from './chaos/requests.ts';
import { Tab } from './chaos/tab.ts';
import {
  chat,
  ENDLESS,
  expect,
  fetchIn,
  putNewServiceWorker,
  putTinyModels,
  serveEndless,
  serveIn,
  test,
  user,
} from './support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

async function stopServiceWorker(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await session.detach();
}

test('a stopped service worker finds the host again', async ({ page, site }) => {
  await serveIn(page, site);
  const expected = await chat(page, question);
  for (let round = 0; round < 5; round++) {
    await stopServiceWorker(page);
    expect(await chat(page, question)).toBe(expected);
  }
});

test('a service worker that is stopped mid-stream frees the slot', async ({ page, site }) => {
  await serveEndless(page, site);
  await page.evaluate(() => server.models.load());
  await page.evaluate(async (max_tokens) => {
    const body = JSON.stringify({ prompt: 'a long one', max_tokens, stream: true });
    const response = await fetch('/v1/completions', { method: 'POST', body });
    const reader = response.body?.getReader();
    await reader?.read();
    Object.assign(globalThis, { rest: reader?.read().then(() => reader.closed) });
  }, ENDLESS);
  await stopServiceWorker(page);
  const requests = () =>
    page.evaluate(async () => (await (await server.fetch('/v1/props')).json()).engine.requests.processing);
  await expect.poll(requests).toBe(0);
  expect(await chat(page, question)).toHaveLength(8);
});

test('a new version takes over when nothing is under way, and answers', async ({ page, site }) => {
  await serveEndless(page, site);
  await chat(page, question);
  putNewServiceWorker(site);

  const abort = await page.evaluateHandle(async (max_tokens) => {
    const abort = new AbortController();
    const body = JSON.stringify({ prompt: 'a long one', max_tokens, stream: true });
    const response = await fetch('/v1/completions', { method: 'POST', body, signal: abort.signal });
    await response.body?.getReader().read();
    return abort;
  }, ENDLESS);
  await page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    await registration.update();
    const { installing } = registration;
    if (installing) await new Promise((resolve) => installing.addEventListener('statechange', resolve, { once: true }));
  });
  const waiting = () =>
    page.evaluate(async () => {
      const { waiting } = await navigator.serviceWorker.ready;
      return waiting?.state ?? null;
    });
  expect(await waiting()).toBe('installed');
  await abort.evaluate((abort) => abort.abort());
  await expect.poll(waiting).toBeNull();
  expect(await chat(page, question)).toHaveLength(8);
});

test('pages whose new version is stopped while it takes over are answered again', async ({ site }) => {
  putTinyModels(site, { tiny: {} });
  const browser = new Chromium();
  try {
    const open = async (number: number) => {
      const tab = await Tab.open(browser, `${site.url}test/chaos.html`, number);
      await tab.ready();
      return tab;
    };
    const tab = await open(1);
    const other = await open(2);
    // What a page says to the waiting version, once nothing is under way, would start it in time.
    for (const each of [tab, other]) {
      await each.evaluate(`(() => {
        globalThis.post = ServiceWorker.prototype.postMessage;
        ServiceWorker.prototype.postMessage = function (message, options) {
          if (message.type !== 'take-over' || this.scriptURL.endsWith('?anew')) post.call(this, message, options);
        };
      })()`);
    }
    await tab.evaluate(`(async () => {
      globalThis.controllers = [];
      navigator.serviceWorker.addEventListener('controllerchange', () => {
        controllers.push(new URL(navigator.serviceWorker.controller.scriptURL).search);
      });
      const body = ${JSON.stringify(JSON.stringify({ prompt: 'a long one', max_tokens: ENDLESS, stream: true }))};
      globalThis.reader = (await fetch('/v1/completions', { method: 'POST', body })).body.getReader();
      await reader.read();
    })()`);
    putNewServiceWorker(site);
    // As by a page that was told before this stream that nothing is under way.
    await tab.evaluate(`(async () => {
      const registration = await navigator.serviceWorker.ready;
      await registration.update();
      const { installing } = registration;
      if (installing) await new Promise((resolve) => installing.addEventListener('statechange', resolve, { once: true }));
      const { port1, port2 } = new MessageChannel();
      const heard = new Promise((resolve) => (port1.onmessage = resolve));
      post.call(registration.waiting, { type: 'take-over' });
      registration.waiting.postMessage({ type: 'configure', options: {}, port: port2 }, [port2]);
      await heard;
    })()`);
    await tab.stopWaitingServiceWorker();
    await tab.evaluate('reader.cancel()');

    // The one that was stopped, and the same anew.
    await expect.poll(() => tab.evaluate('controllers')).toEqual(['', '?anew']);
    const body = JSON.stringify({ ...question, stream: false });
    for (const from of ['page', 'frame', 'worker']) {
      for (const each of [tab, other]) {
        const asked = each.evaluate<Outcome>(`ask('${from}', '/v1/chat/completions', ${body}, false)`);
        expect(await asked).toMatchObject({ status: 200, failure: null });
      }
    }
    await expect.poll(() => tab.evaluate('server.status.intercepts')).toBe(true);
    // A later visit registers it by its own address again.
    await open(3);
    await expect.poll(() => tab.evaluate('controllers')).toEqual(['', '?anew', '']);
  } finally {
    await browser.close();
  }
});

test.describe('llama-server’s own routes', () => {
  test('are answered to clients that ask for them', async ({ page, site }) => {
    await serveIn(page, site, { nativeRoutes: true });
    expect((await fetchIn(page, '/health')).json).toEqual({ status: 'ok' });
    expect((await fetchIn(page, '/models')).json.data.map(({ id }: { id: string }) => id)).toEqual(['tiny', 'tiny-2']);
    expect((await fetchIn(page, '/models/catalog.json')).json.default).toBe('tiny');
    expect((await fetchIn(page, '/embedding', { content: 'x' })).status).toBe(501);
  });

  test('stay the site’s for pages, images, client routers and other methods', async ({ page, site }) => {
    await serveIn(page, site, { nativeRoutes: true });
    for (const path of ['/completion', '/responses', '/embeddings', '/tools']) site.put(path, { from: 'the site' });
    for (const path of ['/completion', '/responses', '/embeddings']) {
      expect((await fetchIn(page, path)).json).toEqual({ from: 'the site' });
    }
    site.put('/health', new TextEncoder().encode('the site’s own'));
    site.route('/models', (_, response) => {
      response.setHeader('Content-Type', 'text/html');
      response.end('<title>Our fashion models</title>');
    });
    const image = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const image = new Image();
          image.onerror = () => resolve('no image');
          image.src = '/health';
        }),
    );
    // Anywhere among the requests: the service worker may be fetching the engine's file, to keep it.
    expect([image, site.requests.filter((path) => path === '/health')]).toEqual(['no image', ['/health']]);
    const routed = await page.evaluate(async () => {
      const asked = ['/models', { headers: { Accept: 'text/html' } }] as const;
      const answers = await Promise.all([fetch(...asked), server.fetch(...asked), fetch('/models?_rsc=1')]);
      return Promise.all(answers.map((answer) => answer.text()));
    });
    expect(routed).toEqual(Array(3).fill('<title>Our fashion models</title>'));
    await page.goto(`${site.url}models`);
    expect(await page.title()).toBe('Our fashion models');
  });

  test('are left to the site that does not ask for them', async ({ page, site }) => {
    site.put('/health', { status: 'the site’s own' });
    await page.goto(`${site.url}test/app.html`);
    await page.waitForFunction(() => 'llamatab' in globalThis);
    await page.evaluate(async () => {
      globalThis.server = await llamatab.serve();
    });
    for (const via of ['service-worker', 'server'] as const) {
      expect((await fetchIn(page, '/health', undefined, via)).json).toEqual({ status: 'the site’s own' });
      expect((await fetchIn(page, '/v1/health', undefined, via)).json).toEqual({ status: 'ok' });
    }
    await stopServiceWorker(page);
    expect((await fetchIn(page, '/health')).json).toEqual({ status: 'the site’s own' });
  });
});
