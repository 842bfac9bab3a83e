/** What the browser tests share: a site of their own with a tiny model, and pages on it. */
import { readFileSync } from 'node:fs';
import { test as base } from '@playwright/test';
import type { ServeOptions, Server } from '../../src/index.ts';
import { type TinyCatalogOptions, tinyCatalogModel } from '../tiny-model/write-tiny-models.ts';
import type { Tab } from './engines/tab.ts';
import { path, runtimeFile } from './paths.ts';
import { type SiteServer, type SiteServerOptions, startSiteServer } from './site-server.ts';

/** What `test/pages/app.html` puts on its window. */
declare global {
  var llamatab: typeof import('../../src/index.ts');
  var OpenAI: typeof import('openai').default;
  /** The handle of `serveIn`. */
  var server: Server;
}

interface Fixtures {
  siteOptions: SiteServerOptions & {
    /** The site's own models, or tiny ones in their place. */
    models: 'tiny' | 'embedded';
  };
  site: SiteServer;
}

export const test = base.extend<Fixtures>({
  siteOptions: [{ models: 'tiny' }, { option: true }],
  site: async ({ siteOptions }, use) => {
    const site = await startSiteServer(siteOptions);
    if (siteOptions.models === 'tiny') putTinyModels(site);
    await use(site);
    await site.close();
  },
});

export { expect } from '@playwright/test';

/**
 * @param options By model id, the default model first, which is `model: "local"`. Without it: two models that differ in
 *   their weights.
 * @param folder of the origin, where the site is.
 */
export function putTinyModels(
  site: SiteServer,
  options: Record<string, TinyCatalogOptions> = { tiny: {}, 'tiny-2': { seed: 2 } },
  folder = '/',
): void {
  const models = Object.entries(options).map(([id, option]) => tinyCatalogModel(id, option));
  for (const { files } of models) {
    for (const [name, bytes] of files) site.put(`${folder}models/${name}`, bytes);
  }
  site.put(`${folder}models/catalog.json`, {
    version: 1,
    default: models[0]?.model.id,
    models: models.map(({ model }) => model),
  });
}

/** As the next deploy does. @param version another one than before. */
export function putNewServiceWorker(site: SiteServer, version = 1): void {
  const script = readFileSync(path('dist/site/llamatab-sw.js'), 'utf8');
  site.put('/llamatab-sw.js', `${script}\n// Version ${version}.`);
}

/** Whether the site was built with our kernels in the engine, as `npm run build` reads it. */
export const KERNELS = process.env.LLAMATAB_KERNELS !== 'off';

/** The build of the engine that Chromium runs: it has relaxed SIMD. */
export const engineWasm = () => runtimeFile(KERNELS ? 'wllama-relaxed.wasm' : 'wllama.wasm');

/** Opens a page of the site and calls `serve()` in it, with llama-server's own routes as well unless `options` say otherwise. */
export async function serveIn(page: Tab, site: SiteServer, options: ServeOptions = {}): Promise<void> {
  await page.goto(`${site.url}test/app.html`);
  await page.waitForFunction(() => 'llamatab' in globalThis);
  await page.evaluate(async (options) => {
    globalThis.server = await llamatab.serve({ nativeRoutes: true, ...options });
  }, options);
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are of many shapes, and the tests look at parts of them
  json: any;
}

/** `fetch` in a page: POST with a JSON body where there is one, else GET. `via` chooses who answers. */
export function fetchIn(
  page: Tab,
  path: string,
  body?: unknown,
  via: 'service-worker' | 'server' = 'service-worker',
): Promise<Answer> {
  return page.evaluate(
    async ({ path, body, via }) => {
      const fetch = via === 'server' ? server.fetch : globalThis.fetch;
      const response = await fetch(
        path,
        body === undefined
          ? {}
          : {
              method: 'POST',
              headers: { 'Content-Type': 'application/json' },
              body: typeof body === 'string' ? body : JSON.stringify(body),
            },
      );
      const text = await response.text();
      let json = null;
      try {
        json = JSON.parse(text);
      } catch {
        // A stream, or a page of the host's.
      }
      return { status: response.status, headers: Object.fromEntries(response.headers), text, json };
    },
    { path, body, via },
  );
}

/** The text of a chat answer. */
export async function chat(page: Tab, body: object, via?: 'service-worker' | 'server'): Promise<string> {
  const { status, json, text } = await fetchIn(page, '/v1/chat/completions', body, via);
  if (status !== 200) throw new Error(`${status}: ${text}`);
  return json.choices[0].message.content;
}

/** `server.models.addFiles` of a file with these bytes: the model's id, or the error's message. */
export function addFile(page: Tab, name: string, bytes: Uint8Array, id?: string): Promise<string> {
  return page.evaluate(
    async ({ name, base64, id }) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const seen: number[] = [];
      const options = { onProgress: ({ loaded }: { loaded: number }) => void seen.push(loaded), ...(id ? { id } : {}) };
      try {
        const added = await server.models.addFiles([new File([bytes], name)], options);
        return seen.at(-1) === bytes.length ? added : `progress ended at ${seen.at(-1)} of ${bytes.length}`;
      } catch (error) {
        return (error as Error).message;
      }
    },
    { name, base64: Buffer.from(bytes).toString('base64'), id },
  );
}

export const user = (content: string) => [{ role: 'user', content }];

/** Tokens of an answer that takes many seconds: it is still under way whatever a test does meanwhile, and then aborts it. */
export const ENDLESS = 16_000;

/** `serveIn` with a tiny model whose context holds an `ENDLESS` answer. */
export async function serveEndless(
  page: Tab,
  site: SiteServer,
  others: Record<string, TinyCatalogOptions> = {},
): Promise<void> {
  const contextLength = 16_384;
  putTinyModels(site, { tiny: { contextLength, infill: true }, ...others });
  await serveIn(page, site, { engine: { contextSize: contextLength } });
}
