/** Every recorded request to a native llama-server, sent to ours on the same models, and the answers held side by side. */
import type { Page } from '@playwright/test';
import { expect, serveIn, test } from './support/fixtures.ts';
import {
  type Any,
  compare,
  type Difference,
  type Recorded,
  readGolden,
  summarize,
  textsOf,
  tiedAtDivergence,
  tiedTokens,
  withAllInputTokens,
} from './support/golden.ts';
import { checkOpenAiTypes } from './support/openai-types.ts';

test.use({ siteOptions: { models: 'embedded' } });

/** What we add to any answer, for OpenAI's clients: keys, and what they are where nothing uses them. */
const ADDED: readonly [at: RegExp, value?: null][] = [
  [/^error\.param$/],
  [/\.message\.refusal$/, null],
  [/choices\[\]\.logprobs$/, null],
  [/\.logprobs\.refusal$/, null],
];

interface Exception {
  lines: number[];
  /** Where the answers differ; each of the lines does so at one of these at least, and nowhere else. */
  at: RegExp;
  why: string;
}

const OUR_ENTRIES =
  /^(models|data)\[\](\.(name|model|id|aliases\[\]|architecture|source|can_remove|status|default|capabilities|size|contextLength|authors|license|licenseUrl|homepage|files))?$|^data\[\]\.meta$/;

/** Keys that OpenAI's document requires, and its client's types. */
const OF_OPENAI =
  /(^|\.)(error|incomplete_details|instructions|metadata|parallel_tool_calls|temperature|tool_choice|tools|top_p|output_tokens_details|cache_write_tokens|sequence_number|output_index|content_index|logprobs|annotations|output|created_at|model)(\[\])?$/;

/** In docs/compatibility.md each has a row. */
const EXCEPTIONS: Record<'chat' | 'embeddings', Exception[]> = {
  chat: [
    { lines: [3, 4], at: OUR_ENTRIES, why: 'every model of the catalog, as llama-server’s router lists them' },
    { lines: [5], at: /./, why: 'GET /v1/models/{id}, which OpenAI’s clients call' },
    { lines: [6], at: /^(engine|audio)$/, why: 'how the model runs here, and at which rates it hears and speaks' },
    {
      lines: [36, 38, 117, 118, 119, 120, 122],
      at: /^(stream\.)?usage\.\w+$|^stream\.shapes\[\]/,
      why: 'the usage of several answers is that of all of them, told once',
    },
    { lines: [40], at: /\.top_logprobs(\[\])?$/, why: 'alternatives come where they are asked for' },
    {
      lines: [46],
      at: /^(choices\[\]\.message\.content|usage\.(completion|total)_tokens)$/,
      why: 'of what the grammar leaves, all is unlikely: none is among the 20 whose probabilities are told, and rounding decides',
    },
    { lines: [54, 55, 57, 58, 305, 312], at: /./, why: 'a call that is required is made, whatever the template knows' },
    { lines: [76, 79], at: /^(status|error\.(code|type))$/, why: 'what is wrong with the messages is a 400' },
    { lines: [126], at: /./, why: '`suffix`, ignored there, is a 400 where the model can’t fill gaps' },
    { lines: [20, 294, 295, 296, 317], at: /^error\.message$/, why: 'it says which models can' },
    { lines: [220], at: /^error\.message$/, why: 'it says where the grammar is wrong' },
    { lines: [302, 303, 304], at: OF_OPENAI, why: 'what OpenAI’s clients need of a response' },
    { lines: [315], at: /^(content\[\]\.text|stop_reason|usage\.output_tokens)$/, why: 'drawn at random' },
  ],
  embeddings: [
    { lines: [1], at: OUR_ENTRIES, why: 'every model of the catalog' },
    {
      lines: [2],
      at: /^(engine|audio|endpoint_metrics)$/,
      why: 'how the model runs here; that server was started without metrics',
    },
    {
      lines: [8, 9, 10, 23, 30, 31, 32, 45, 52, 53, 54, 67],
      at: /^status$|^error\.(code|message|type)$/,
      why: 'a 400 since llama.cpp b11434',
    },
    { lines: [17], at: /^data\[\]\.embedding$/, why: '`dimensions`, ignored there, cuts the vector' },
    { lines: [72], at: /^error\.message$/, why: 'it says which models can' },
    {
      lines: [22, 44, 66],
      at: /^(status|error\.(code|type|message))$/,
      why: 'an input that is too long is the caller’s fault, and named',
    },
  ],
};

/** Where a text that parts from the recorded one at a tie differs further on. */
const OF_THE_TEXT =
  /(^|\.|\])(text|content|completion_tokens|output_tokens|total_tokens|finish_reason|finish|stop_reason|stop_type|tokens_predicted|has_new_line)(\[\])?$|logprobs|stream\.shapes/;

interface Answer {
  status: number;
  headers: Record<string, string>;
  text: string;
}

function replay(page: Page, requests: Recorded['request'][]): Promise<Answer[]> {
  return page.evaluate(async (requests) => {
    const answers: Answer[] = [];
    for (const { method, path, body, raw } of requests) {
      const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
      const response = await fetch(path, {
        method,
        ...(sent === undefined || method === 'GET'
          ? {}
          : { body: sent, headers: { 'Content-Type': 'application/json' } }),
      });
      answers.push({
        status: response.status,
        headers: Object.fromEntries(response.headers),
        text: await response.text(),
      });
    }
    return answers;
  }, requests);
}

/** Outside `/v1/` a path that is none of llama-server's is the site's own. */
const addressed = (request: Recorded['request']) =>
  request.path === '/nothing' ? { ...request, path: '/v1/nothing' } : request;

function differencesOf({ request, response }: Recorded, { status, headers, text }: Answer): Difference[] {
  const type = (headers: Record<string, string>) => headers['content-type'] ?? null;
  const head = compare({ status: response.status, type: type(response.headers) }, { status, type: type(headers) });
  const whole = (at: string, expected: unknown) => [...head, { at, expected, actual: text }];
  if (response.events !== undefined) {
    if (!headers['content-type']?.startsWith('text/event-stream')) return whole('stream', response.events);
    return [...head, ...compare(summarize(response.events), summarize(text), 'stream')];
  }
  if (request.path === '/metrics') {
    const names = (text = '') => text.split('\n').filter((line) => line.startsWith('# TYPE'));
    return [...head, ...compare(names(response.text), names(text))];
  }
  if (response.text !== undefined) return [...head, ...compare(response.text, text)];
  try {
    return [...head, ...compare(withAllInputTokens(response.json), withAllInputTokens(JSON.parse(text)))];
  } catch {
    return whole('', response.json);
  }
}

const isAdded = ({ at, expected, actual }: Difference) =>
  expected === undefined && ADDED.some(([key, value]) => key.test(at) && (value === undefined || actual === value));

/** The same request, with what shows how near the next token was; null for one that can't show it. */
function withLogprobs({ path, body }: Recorded['request']): Recorded['request'] | null {
  if (path === '/v1/messages') return null;
  if (path.endsWith('chat/completions')) {
    return { method: 'POST', path, body: { ...body, stream: false, logprobs: true, top_logprobs: 20 } };
  }
  if (path === '/v1/responses') {
    const { input, max_output_tokens: max_tokens, temperature, seed } = body;
    if (typeof input !== 'string') return null;
    const messages = [{ role: 'user', content: input }];
    const chat = { messages, max_tokens, temperature, seed, logprobs: true, top_logprobs: 5 };
    return { method: 'POST', path: '/v1/chat/completions', body: chat };
  }
  return { method: 'POST', path: '/v1/completions', body: { ...body, stream: false, n_probs: 20 } };
}

/**
 * Whether each text that parts from the recorded one does so where two tokens are nearly tied; and where none does, whether the
 * same text can nearly as well be other tokens, and so another number of them.
 */
async function onlyTies(page: Page, { request, response }: Recorded, answer: Answer): Promise<boolean> {
  const shown = withLogprobs(request);
  if (shown === null) return false;
  const isStream = response.events !== undefined;
  const texts = textsOf(isStream ? { events: answer.text } : { json: JSON.parse(answer.text) });
  const recorded = textsOf(response);
  const isSame = recorded.every((expected, i) => texts[i] === expected);
  const [again] = await replay(page, [shown]);
  const { choices }: { choices: Any[] } = JSON.parse(again?.text ?? '{}');
  return recorded.every((expected, i) => {
    const text = texts[i] ?? '';
    const choice = choices?.[i];
    if (text === expected && !isSame) return true;
    const shownText = choice?.message?.content ?? choice?.text;
    if (shownText !== text) return false;
    const { content } = choice.logprobs;
    return isSame ? tiedTokens(content, expected) : tiedAtDivergence(content, expected);
  });
}

for (const model of ['chat', 'embeddings'] as const) {
  test(`llama-server’s answers: ${model}`, async ({ page, site }) => {
    // 319 requests on two slow cores, with answers of up to 120 tokens.
    test.setTimeout(900_000);
    await serveIn(page, site, {
      aliases: { '*': 'local' },
      model: model === 'chat' ? 'smollm2-135m-instruct' : 'all-minilm-l6-v2',
      ...(model === 'chat' ? { engine: { contextSize: 2048, slots: 4 } } : {}),
    });
    await page.evaluate(() => server.models.load());
    const golden = readGolden(model);
    const answers = await replay(
      page,
      golden.map(({ request }) => addressed(request)),
    );
    const ties: string[] = [];
    const needed = new Set<string>();
    for (const [i, recorded] of golden.entries()) {
      const { line, request } = recorded;
      const answer = answers[i] as Answer;
      let differences = differencesOf(recorded, answer).filter((difference) => !isAdded(difference));
      const excepted = EXCEPTIONS[model].filter(({ lines }) => lines.includes(line));
      for (const { at } of excepted) {
        const rest = differences.filter((difference) => !at.test(difference.at));
        if (rest.length < differences.length) needed.add(`${line} ${at}`);
        differences = rest;
      }
      const ofTheText = differences.filter(({ at }) => OF_THE_TEXT.test(at));
      if (ofTheText.length > 0 && (await onlyTies(page, recorded, answer))) {
        ties.push(`${line}`);
        differences = differences.filter((difference) => !ofTheText.includes(difference));
      }
      const what = `${model}, line ${line}: ${request.method} ${request.path} ${request.raw ?? JSON.stringify(request.body)}`;
      expect.soft(differences, what.slice(0, 500)).toEqual([]);
    }
    // An exception that nothing needs any more hides the next difference.
    const listed = EXCEPTIONS[model].flatMap(({ lines, at }) => lines.map((line) => `${line} ${at}`));
    expect([...needed].sort()).toEqual(listed.sort());
    const types = checkOpenAiTypes(
      model,
      golden.map(({ request }, i) => ({ request, ...(answers[i] as Answer) })),
    );
    expect(types.errors).toBe('');
    expect(types.checked).toBeGreaterThan(10);
    test.info().annotations.push({ type: 'near-ties', description: `${ties.length}: lines ${ties.join(', ')}` });
    expect(ties.length).toBeLessThan(golden.length / 20);
  });
}
