/** Speculative decoding: the same texts with fewer steps. */
import type { Page } from '@playwright/test';
import { expect, fetchIn, KERNELS, putTinyModels, serveIn, test, user } from './support/fixtures.ts';
import type { SiteServer } from './support/site-server.ts';
import { tinyArchitecture } from './tiny-model/tiny-architectures.ts';

test.skip(!KERNELS, 'wllama’s binary as it is published drafts nothing.');

type Drafting = 'none' | 'lookup' | 'model';

const GREEDY = { prompt: 'Once upon a time', temperature: 0, max_tokens: 160, ignore_eos: true };
const SEEDED = { ...GREEDY, temperature: 0.5, seed: 7 };
/** A random model repeats nothing unless it must. */
const REPEATING = { ...GREEDY, grammar: 'root ::= ("The river runs to the sea. ")+', logprobs: 2 };

interface Texts {
  greedy: string;
  stream: string;
  seeded: string;
  repeating: string;
  /** Of `repeating`: each token with those that were likely in its place, and its logprob. */
  tokens: string[][];
  logprobs: number[];
  /** Of four at once. */
  together: string[];
  /** Of `greedy` and `repeating`. */
  timings: Record<'greedy' | 'repeating', Timings>;
}

interface Timings {
  draft_n?: number;
  draft_n_accepted?: number;
  predicted_n: number;
}

async function textsWith(page: Page, site: SiteServer, drafting: Drafting): Promise<Texts> {
  await serveIn(page, site, { engine: { drafting, measure: false } });
  const complete = async (body: object) => {
    const { status, json, text } = await fetchIn(page, '/v1/completions', body);
    if (status !== 200) throw new Error(text);
    return json;
  };
  const greedy = await complete(GREEDY);
  const repeating = await complete(REPEATING);
  const likely: { token: string; logprob: number; top_logprobs: { token: string }[] }[] =
    repeating.choices[0].logprobs.content;
  const stream = await fetchIn(page, '/v1/completions', { ...REPEATING, stream: true });
  const prompts = ['One', 'Two', 'Three', 'Four'];
  const together = await Promise.all(prompts.map((prompt) => complete({ ...GREEDY, prompt })));
  return {
    greedy: greedy.choices[0].text,
    stream: textOf(stream.text),
    seeded: (await complete(SEEDED)).choices[0].text,
    repeating: repeating.choices[0].text,
    tokens: likely.map(({ token, top_logprobs }) => [token, ...top_logprobs.map((other) => other.token)]),
    logprobs: likely.map(({ logprob }) => logprob),
    together: together.map((answer) => answer.choices[0].text),
    timings: { greedy: greedy.timings, repeating: repeating.timings },
  };
}

function textOf(stream: string): string {
  return stream
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)).choices[0]?.text ?? '')
    .join('');
}

const countersOf = async (page: Page) => {
  const { text } = await fetchIn(page, '/metrics');
  const value = (name: string) =>
    Number(text.match(new RegExp(`^llamacpp:spec_decode_num_${name}_total (.*)$`, 'm'))?.[1]);
  return { drafted: value('draft_tokens'), accepted: value('accepted_tokens') };
};

test('what a text said before is drafted: the same texts and logprobs, and the answer tells how much of it', async ({
  page,
  site,
}) => {
  const { timings: plain, logprobs: plainLogprobs, ...expected } = await textsWith(page, site, 'none');
  expect(plain.repeating.draft_n).toBeUndefined();
  expect(await countersOf(page)).toEqual({ drafted: 0, accepted: 0 });
  expect((await fetchIn(page, '/slots')).json[0].speculative).toBe(false);

  const { timings, logprobs, ...texts } = await textsWith(page, site, 'lookup');
  expect(texts).toEqual(expected);
  expect(expected.stream).toBe(expected.repeating);
  // A step of several tokens may sum in another order.
  expect(logprobs).toHaveLength(160);
  for (const [at, logprob] of logprobs.entries()) expect(logprob).toBeCloseTo(plainLogprobs[at] as number, 2);
  const { draft_n, draft_n_accepted, predicted_n } = timings.repeating;
  expect(predicted_n).toBe(160);
  // Of 27 tokens, the first two times are needed to see that it is the same again.
  expect(draft_n_accepted).toBeGreaterThan(80);
  expect(draft_n).toBeGreaterThanOrEqual(draft_n_accepted as number);
  const { drafted, accepted } = await countersOf(page);
  expect(drafted).toBeGreaterThanOrEqual(draft_n as number);
  expect(accepted).toBeLessThanOrEqual(drafted);
  expect((await fetchIn(page, '/slots')).json[0].speculative).toBe(true);
  const { json: props } = await fetchIn(page, '/props');
  expect(props.engine).toMatchObject({ drafting: 'lookup' });
  expect(props.default_generation_settings.params['speculative.types']).toBe('ngram-simple');
});

test('a catalog’s draft drafts: the same greedy text, whether it is often right or never', async ({ page, site }) => {
  const models = (seed: number) => ({ tiny: { draft: { seed } } });
  putTinyModels(site, models(1));
  const { timings: plain, ...expected } = await textsWith(page, site, 'none');
  expect(plain.greedy.draft_n).toBeUndefined();

  const { timings: same, ...texts } = await textsWith(page, site, 'model');
  expect(texts.greedy).toBe(expected.greedy);
  expect(texts.stream).toBe(expected.stream);
  expect(texts.together).toEqual(expected.together);
  expect(same.greedy.draft_n_accepted).toBeGreaterThan((same.greedy.draft_n as number) / 2);
  const { json: props } = await fetchIn(page, '/props');
  expect(props.engine).toMatchObject({ drafting: 'model' });
  expect(props.default_generation_settings.params['speculative.types']).toBe('draft-simple');

  await page.evaluate(() => server.models.remove('tiny'));
  putTinyModels(site, models(2));
  const { timings: other, ...others } = await textsWith(page, site, 'model');
  expect(others.greedy).toBe(expected.greedy);
  expect(other.greedy.draft_n).toBeGreaterThan(0);
  expect(other.greedy.draft_n_accepted).toBeLessThan((same.greedy.draft_n_accepted as number) / 2);
});

for (const [name, draft] of [
  ['of a larger vocabulary', { agent: true }],
  ['of another vocabulary', tinyArchitecture()],
] as const) {
  test(`a draft ${name} drafts nothing, and the model answers`, async ({ page, site }) => {
    putTinyModels(site, { tiny: { draft } });
    await serveIn(page, site, { engine: { drafting: 'model', measure: false } });
    const { status, json, text } = await fetchIn(page, '/v1/completions', GREEDY);
    expect(status, text).toBe(200);
    expect(json.timings.draft_n).toBeUndefined();
    expect((await fetchIn(page, '/props')).json.engine).toMatchObject({ drafting: 'none' });
  });
}

test('a draft that is no GGUF is the catalog’s fault, as a model that is none would be', async ({ page, site }) => {
  putTinyModels(site, { tiny: { draft: new Uint8Array(1000) } });
  await serveIn(page, site, { engine: { drafting: 'model', measure: false } });
  const { status, json } = await fetchIn(page, '/v1/completions', GREEDY);
  expect(status).toBe(500);
  expect(json.error.message).toMatch(/tiny\.draft\.gguf is not a GGUF.*update the catalog/);
});

test.describe('the embedded model', () => {
  test.use({ siteOptions: { models: 'embedded' } });

  test('repeats a text in the same words, with fewer steps', async ({ page, site }) => {
    const text = 'Anna Berg lived in Uppsala from 1841 until 1903. She built three prototypes of oak and brass.';
    const messages = user(`Repeat this text three times, word for word: ${text}`);
    const request = { messages, temperature: 0, max_tokens: 96, seed: 1 };
    const answers = [];
    for (const drafting of ['none', 'lookup'] as const) {
      await serveIn(page, site, { engine: { drafting, measure: false, gpuLayers: 0 } });
      const { json } = await fetchIn(page, '/v1/chat/completions', request);
      answers.push(json);
    }
    const [plain, drafted] = answers;
    expect(drafted.choices).toEqual(plain.choices);
    expect(drafted.timings.draft_n_accepted).toBeGreaterThan(8);
  });
});
