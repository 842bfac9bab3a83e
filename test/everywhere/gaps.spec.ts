/** The table of gaps tells the truth. */
import { expect, test } from '../support/everywhere.ts';
import { chat, serveIn, user } from '../support/fixtures.ts';
import { FEATURES, type Feature, lacks } from './gaps.ts';
import { note } from './support-notes.ts';

test('each engine has what the table of gaps does not name, and nothing of what it names', async ({
  tab,
  site,
  engine,
  engineBrowser,
}) => {
  test.skip(process.platform !== 'linux', 'the table is of browsers on Linux');
  note({ version: engineBrowser.version });
  const names = Object.keys(FEATURES) as Feature[];
  const code = names.map((name) => `[${JSON.stringify(name)}, ${FEATURES[name]}]`).join(',\n');
  site.put(
    '/test/features.js',
    `Promise.all([${code}].map(async ([name, has]) => [name, await has()])).then((seen) => postMessage(seen));`,
  );
  await tab.goto(`${site.url}test/plain.html`);
  const seen = await tab.evaluate(
    () =>
      new Promise<[string, boolean][]>((resolve, reject) => {
        const worker = new Worker('/test/features.js');
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      }),
  );
  expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(names.map((name) => [name, !lacks(engine, name)])));
});

test('what is missing is told, and requests are answered all the same', async ({ tab, site, engine }) => {
  await serveIn(tab, site);
  const limits = await tab.evaluate(() => server.status.limits.join());
  for (const [feature, word] of [
    ['JSPI', 'JSPI'],
    ['shared memory', 'SharedArrayBuffer'],
    ['WebGPU', 'WebGPU'],
  ] as const) {
    expect.soft(limits.includes(word), `${word} in "${limits}"`).toBe(lacks(engine, feature));
  }
  expect(await chat(tab, { messages: user('hello'), max_tokens: 8 })).toHaveLength(8);
  const { runtime } = (await tab.evaluate(() => server.models.list()))[0] ?? {};
  expect(runtime?.compat).toBe(lacks(engine, 'JSPI'));
});
