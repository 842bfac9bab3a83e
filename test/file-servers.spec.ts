/** Servers that compress, and answer HEAD with a lie, late, or not at all: a model is added by its address all the same. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { expect, fetchIn, serveIn, test } from './support/fixtures.ts';
import { startSiteServer } from './support/site-server.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';

const BYTES = Buffer.from(tinyModel({ seed: 7 }));
const PACKED = gzipSync(BYTES);

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Compresses whatever it may, as many hosts do with files of a type that they don't know. */
const compressing: Answer = (request, response) => {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const body = range ? BYTES.subarray(Number(range[1]), range[2] ? Number(range[2]) + 1 : BYTES.length) : PACKED;
  response.writeHead(range ? 206 : 200, {
    'Content-Length': body.length,
    ...(range
      ? { 'Content-Range': `bytes ${range[1]}-${Number(range[1]) + body.length - 1}/${BYTES.length}` }
      : { 'Content-Encoding': 'gzip' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
};
const heads: Record<string, Answer> = {
  'tells the packed length': compressing,
  'is refused': (_, response) => response.writeHead(400).end(),
  'is never answered': () => {},
};

for (const [name, head] of Object.entries(heads)) {
  for (const where of ['the site’s origin', 'another origin'] as const) {
    test(`a model from ${where}, whose HEAD ${name}`, async ({ page, site }) => {
      const host = where === 'another origin' ? await startSiteServer() : site;
      host.route('/files/mine.gguf', (request, response) => {
        response.setHeader('Access-Control-Allow-Origin', '*');
        if (request.method === 'HEAD') head(request, response);
        else compressing(request, response);
      });
      await serveIn(page, site, { preload: false });
      const id = await page.evaluate((url) => server.models.download(url), `${host.url}files/mine.gguf`);
      const { status, json } = await fetchIn(page, '/v1/completions', { model: id, prompt: 'Once', max_tokens: 4 });
      expect([status, json.usage.completion_tokens]).toEqual([200, 4]);
      if (host !== site) await host.close();
    });
  }
}
