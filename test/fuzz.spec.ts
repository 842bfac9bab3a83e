/** Malformed and borderline bodies to every POST route, on the real engine, beside a stream that must not notice. */
import { FUZZ_ROUTES } from '../src/server/testing/fuzz.ts';
import { expect, fetchIn, KERNELS, putTinyModels, serveIn, test } from './support/fixtures.ts';

const SEED = 20261124;
const BODIES_PER_ROUTE = 2000;
const CONCURRENCY = 16;
/** Tokens of the stream beside them, about a context; it begins again until all bodies are through. */
const LONG = 1900;
const BUNDLE = '/bundles/fuzz.js';

test(`${BODIES_PER_ROUTE} bodies to each of ${FUZZ_ROUTES.length} routes`, async ({ page, site }) => {
  test.setTimeout(600_000);
  putTinyModels(site, { tiny: { infill: true }, embedder: { pooling: 'mean' }, ranker: { pooling: 'rank' } });
  await serveIn(page, site);
  const question = { prompt: 'a long story', max_tokens: LONG, temperature: 1, seed: 5 };
  const ask = async () => (await fetchIn(page, '/v1/completions', question)).json.choices[0].text;
  const text = await ask();
  expect(text).toHaveLength(LONG);
  // No load amid the bodies but those that they ask for.
  for (const model of ['embedder', 'ranker']) await fetchIn(page, '/v1/models/load', { model });

  const fuzz = async (isAlone: boolean) => {
    for (const [index, { paths, alone }] of FUZZ_ROUTES.entries()) {
      if ((alone !== undefined) !== isAlone) continue;
      const { statuses, failures } = await page.evaluate(
        async ({ bundle, index, options }) => (await import(bundle)).fuzzRoute(index, options),
        { bundle: BUNDLE, index, options: { seed: SEED, count: BODIES_PER_ROUTE, concurrency: CONCURRENCY } },
      );
      test.info().annotations.push({ type: paths[0] ?? '', description: JSON.stringify(statuses) });
      expect.soft(failures.slice(0, 5), `${failures.length} at ${paths[0]}`).toEqual([]);
    }
  };
  const beside = await page.evaluateHandle(
    async ({ bundle, question }) => (await import(bundle)).streamBeside(question),
    { bundle: BUNDLE, question },
  );
  await fuzz(false);
  const streamed: string[] = await beside.evaluate((beside) => beside.stop());
  expect(streamed.length).toBeGreaterThan(0);
  for (const streamedText of streamed) expect(streamedText).toBe(text);

  // No slot is lost: none is taken, and all can be.
  const { total_slots, engine } = (await fetchIn(page, '/props')).json;
  expect(engine.requests).toEqual({ processing: 0, deferred: 0 });
  const slots: { is_processing: boolean }[] = (await fetchIn(page, '/slots')).json;
  expect(slots.map((slot) => slot.is_processing)).toEqual(Array(total_slots).fill(false));
  const answers = await Promise.all(Array.from({ length: total_slots }, () => ask()));
  expect(answers).toEqual(Array(total_slots).fill(text));

  await fuzz(true);
  expect(await ask()).toBe(text);
});

test('a token that is no text among those that n_probs asks for', async ({ page, site }) => {
  await serveIn(page, site);
  const { json, status: asked } = await fetchIn(page, '/completion', { prompt: 'Hi', n_predict: 1, n_probs: 1000 });
  // Without our kernels, wllama's JSON is as it is published: strict.
  if (KERNELS) return expect(asked).toBe(200);
  expect(json.error).toMatchObject({
    code: 400,
    param: 'n_probs',
    message: expect.stringContaining("can't write a token that is only a part of a character"),
  });
  const { status } = await fetchIn(page, '/completion', { prompt: 'Hi', n_predict: 1, n_probs: 20 });
  expect(status).toBe(200);
});
