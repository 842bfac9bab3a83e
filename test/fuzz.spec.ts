/** Malformed and borderline bodies to every POST route, on the real engine, beside a stream that must not notice. */
import type { Page } from '@playwright/test';
import { FUZZ_ROUTES, kindsOf } from '../src/server/testing/fuzz.ts';
import type { FuzzOptions, FuzzReport } from './bundles/fuzz.ts';
import { FAMILIES } from './support/chat-templates.ts';
import { expect, fetchIn, putTinyModels, serveIn, test } from './support/fixtures.ts';

const SEED = Number(process.env.LLAMATAB_FUZZ_SEED ?? 20261124);
const BODIES_PER_ROUTE = 1000;
/** Spread over the routes that take the kind; `LLAMATAB_FUZZ` says otherwise. */
const BODIES_PER_KIND = Number(process.env.LLAMATAB_FUZZ ?? 200);
const CONCURRENCY = 16;
/** Tokens of the stream beside them, about a context; it begins again until all bodies are through. */
const LONG = 1900;
const BUNDLE = '/bundles/fuzz.js';
const STORY = { prompt: 'a long story', max_tokens: LONG, temperature: 1, seed: 5 };

const tell = async (page: Page): Promise<string> =>
  (await fetchIn(page, '/v1/completions', STORY)).json.choices[0].text;

async function fuzz(page: Page, index: number, given: Pick<FuzzOptions, 'count' | 'kind' | 'model'>): Promise<void> {
  const options: FuzzOptions = { seed: SEED, concurrency: CONCURRENCY, ...given };
  const { statuses, failures }: FuzzReport = await page.evaluate(
    async ({ bundle, index, options }) => (await import(bundle)).fuzzRoute(index, options),
    { bundle: BUNDLE, index, options },
  );
  const what = [given.kind, given.model, FUZZ_ROUTES[index]?.paths[0]].filter((part) => part !== undefined).join(' ');
  test.info().annotations.push({ type: what, description: JSON.stringify(statuses) });
  expect.soft(failures.slice(0, 5), `${failures.length} of ${what}`).toEqual([]);
}

/** @returns What the stream beside it said, each time; there is a first time even if `run` is over before. */
async function besides(page: Page, run: () => Promise<void>): Promise<string[]> {
  const beside = await page.evaluateHandle(
    async ({ bundle, question }) => (await import(bundle)).streamBeside(question),
    { bundle: BUNDLE, question: STORY },
  );
  await run();
  return beside.evaluate((beside) => beside.stop());
}

/** Nothing runs any more, no slot is lost, and every slot still says what it said before. */
async function expectSound(page: Page, text: string): Promise<void> {
  const { total_slots, engine } = (await fetchIn(page, '/props')).json;
  expect(engine.requests).toEqual({ processing: 0, deferred: 0 });
  const slots: { is_processing: boolean }[] = (await fetchIn(page, '/slots')).json;
  expect(slots.map((slot) => slot.is_processing)).toEqual(Array(total_slots).fill(false));
  const answers = await Promise.all(Array.from({ length: total_slots }, () => tell(page)));
  expect(answers).toEqual(Array(total_slots).fill(text));
}

test(`${BODIES_PER_ROUTE} bodies to each of ${FUZZ_ROUTES.length} routes`, async ({ page, site }) => {
  test.setTimeout(600_000);
  putTinyModels(site, { tiny: { infill: true }, embedder: { pooling: 'mean' }, ranker: { pooling: 'rank' } });
  await serveIn(page, site);
  const text = await tell(page);
  expect(text).toHaveLength(LONG);
  // No load amid the bodies but those that they ask for.
  for (const model of ['embedder', 'ranker']) await fetchIn(page, '/v1/models/load', { model });

  const fuzzAll = async (isAlone: boolean) => {
    for (const [index, { alone }] of FUZZ_ROUTES.entries()) {
      if ((alone !== undefined) === isAlone) await fuzz(page, index, { count: BODIES_PER_ROUTE });
    }
  };
  const streamed = await besides(page, () => fuzzAll(false));
  expect(new Set(streamed)).toEqual(new Set([text]));
  await expectSound(page, text);

  await fuzzAll(true);
  expect(await tell(page)).toBe(text);
});

for (const kind of ['text', 'schema', 'history'] as const) {
  test(`${BODIES_PER_KIND} bodies of the kind: ${kind}`, async ({ page, site }) => {
    test.setTimeout(60_000 + BODIES_PER_KIND * 200);
    putTinyModels(site, { tiny: { infill: true }, embedder: { pooling: 'mean' }, ranker: { pooling: 'rank' } });
    await serveIn(page, site);
    const text = await tell(page);
    const routes = [...FUZZ_ROUTES.entries()].filter(([, route]) => kindsOf(route).includes(kind));
    const streamed = await besides(page, async () => {
      for (const [index] of routes)
        await fuzz(page, index, { kind, count: Math.ceil(BODIES_PER_KIND / routes.length) });
    });
    expect(new Set(streamed)).toEqual(new Set([text]));
    await expectSound(page, text);
  });
}

test(`${BODIES_PER_KIND} conversations, in the templates of ten families`, async ({ page, site }) => {
  test.setTimeout(60_000 + BODIES_PER_KIND * 200);
  const families = Object.entries(FAMILIES).map(([name, { template }]) => [name, { template }] as const);
  putTinyModels(site, { tiny: {}, ...Object.fromEntries(families) });
  await serveIn(page, site);
  const text = await tell(page);
  const routes = [...FUZZ_ROUTES.entries()].filter(([, route]) => kindsOf(route).includes('history'));
  const count = Math.ceil(BODIES_PER_KIND / routes.length / families.length);
  const streamed = await besides(page, async () => {
    for (const [model] of families) {
      for (const [index] of routes) await fuzz(page, index, { kind: 'history', count, model });
      await fetchIn(page, '/v1/models/unload', { model });
    }
  });
  expect(new Set(streamed)).toEqual(new Set([text]));
  await expectSound(page, text);
});

test('a token that is no text among those that n_probs asks for', async ({ page, site }) => {
  await serveIn(page, site);
  const { status } = await fetchIn(page, '/completion', { prompt: 'Hi', n_predict: 1, n_probs: 1000 });
  expect(status).toBe(200);
});
