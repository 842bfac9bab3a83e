import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const NATIVE = {
  index: 0,
  content: ' Paris',
  tokens: [7042],
  id_slot: 1,
  stop: true,
  model: '',
  tokens_predicted: 1,
  generation_settings: { n_predict: 1, stop: [], 'speculative.types': 'none' },
  stop_type: 'limit',
};
const result = (verbose: Json): Json => ({
  choices: [{ text: verbose.content, index: 0, logprobs: null, finish_reason: null }],
  object: 'text_completion',
  ...(verbose.stop === true ? { usage: { completion_tokens: 1, prompt_tokens: 1, total_tokens: 2 } } : {}),
  __verbose: verbose,
});

function nativeServer(): TestServer {
  const server = createTestServer();
  server.engine.onComplete = async function* ({ body }) {
    if (body.stream === true) yield result({ index: 0, content: ' Par', stop: false, tokens_predicted: 1 });
    yield result(NATIVE);
  };
  return server;
}

async function ask(server: TestServer, path: string, body: Json): Promise<{ status: number; json: Json & Json[] }> {
  const response = await server.send(path, body);
  return { status: response.status, json: (await response.json()) as Json & Json[] };
}

describe('/completion', () => {
  test.each(['/completion', '/completions', '/v1/completion'])(
    '%s: the engine’s own result, with the model named',
    async (path) => {
      const server = nativeServer();
      const { json } = await ask(server, path, { prompt: 'a', n_predict: 1, return_tokens: true });
      expect(json).toEqual({ ...NATIVE, model: 'smollm2-135m-instruct' });
      expect(server.engine.completions[0]?.body).toMatchObject({ prompt: 'a', verbose: true, return_tokens: true });
    },
  );

  test('several prompts, and n: an array', async () => {
    const { json } = await ask(nativeServer(), '/completion', { prompt: ['a', 'b'], n: 2 });
    expect(json.map(({ index, content }) => [index, content])).toEqual([0, 1, 2, 3].map((index) => [index, ' Paris']));
  });

  test('streamed, without [DONE]', async () => {
    const response = await nativeServer().send('/completion', { prompt: ['a', 'b'], stream: true });
    const text = await response.text();
    const events = parseEvents(text) as Json[];
    expect(text).not.toContain('[DONE]');
    expect(events.filter(({ index }) => index === 1)).toEqual([
      { index: 1, content: ' Par', stop: false, tokens_predicted: 1 },
      { ...NATIVE, index: 1, model: 'smollm2-135m-instruct' },
    ]);
    expect(events).toHaveLength(4);
  });

  test('an error in mid-stream is an event', async () => {
    const server = createTestServer();
    server.engine.onComplete = async function* () {
      yield result({ content: 'a', stop: false });
      throw new LlamatabError('server_error', 'lost');
    };
    const response = await server.send('/completion', { prompt: 'a', stream: true });
    expect(parseEvents(await response.text())).toMatchObject([
      { content: 'a' },
      { error: { code: 500, message: 'lost' } },
    ]);
  });

  const fields = [
    'content',
    'generation_settings/n_predict',
    'generation_settings/speculative.types',
    'none',
    'content/x',
    '',
  ];

  test('response_fields: those that exist', async () => {
    const expected = {
      content: ' Paris',
      'generation_settings/n_predict': 1,
      'generation_settings/speculative.types': 'none',
    };
    const { json } = await ask(nativeServer(), '/completion', { prompt: 'a', response_fields: fields });
    expect(json).toEqual(expected);
    const response = await nativeServer().send('/completion', { prompt: 'a', response_fields: fields, stream: true });
    expect(parseEvents(await response.text())).toEqual([
      { index: 0, content: ' Par', stop: false, tokens_predicted: 1 },
      expected,
    ]);
  });

  test.each([[[]], ['content'], [['content', 5]], [null]])('response_fields %j is ignored', async (response_fields) => {
    const { json } = await ask(nativeServer(), '/completion', { prompt: 'a', response_fields });
    expect(Object.keys(json)).toEqual(Object.keys(NATIVE));
  });

  test('OpenAI’s options mean nothing here, as in llama-server', async () => {
    const { status } = await ask(nativeServer(), '/completion', { prompt: 'a', best_of: 0, suffix: 'x', echo: true });
    expect(status).toBe(200);
  });
});

/** Letters are tokens, `<…>` special ones. */
function gapTokenizer(infill: Tokenizer['infill'] = {}): Tokenizer {
  const special = ['<PRE>', '<SUF>', '<MID>', '<REP>', '<SEP>'];
  return {
    size: 1000,
    added: { before: [], after: [] },
    infill,
    parts: (text) => [text],
    encode: (text) =>
      text.match(/<[A-Z]{3}>|./gsu)?.map((part) => {
        const token = special.indexOf(part);
        return token === -1 ? (part.codePointAt(0) as number) : 900 + token;
      }) ?? [],
    decode: (tokens) => tokens.map((token) => special[token - 900] ?? String.fromCodePoint(token)).join(''),
    piece: () => new Uint8Array(),
  };
}
const MARKS = { prefix: 900, suffix: 901, middle: 902 };

function gapServer(infill: Tokenizer['infill']): TestServer {
  const server = nativeServer();
  server.engine.tokenizer = gapTokenizer(infill);
  return server;
}
const promptOf = ({ engine }: TestServer) => engine.completions[0]?.body.prompt;

describe('/infill', () => {
  test.each(['/infill', '/v1/infill'])('%s: prefix, suffix, and what is begun', async (path) => {
    const server = gapServer(MARKS);
    const { json } = await ask(server, path, { input_prefix: 'def f(', input_suffix: '):', prompt: 'a' });
    expect(promptOf(server)).toBe('<PRE>def f(a<SUF>):<MID>');
    expect(json).toMatchObject({ content: ' Paris', stop: true, model: 'smollm2-135m-instruct' });
  });

  const input_extra = [{ text: 'one', filename: 'a.py' }, { text: 'two' }];

  test('other files come first, by the tokens that the model has', async () => {
    const server = gapServer({ ...MARKS, repository: 903, file: 904 });
    await ask(server, '/infill', { input_prefix: 'a', input_suffix: 'b', input_extra });
    expect(promptOf(server)).toBe('<REP>myproject\n<SEP>a.py\none<SEP>tmp\ntwo<SEP>filename\n<PRE>a<SUF>b<MID>');
  });

  test('or as snippets', async () => {
    const server = gapServer(MARKS);
    await ask(server, '/infill', { input_prefix: [97], input_suffix: ['b', 99], input_extra });
    expect(promptOf(server)).toBe('\n\n--- snippet ---\n\none\n\n--- snippet ---\n\ntwo<PRE>a<SUF>bc<MID>');
  });

  test('long texts are cut: the end of the prefix stays, the beginning of the suffix, the end of the files', async () => {
    const server = gapServer(MARKS);
    const numbered = (letter: string) => `${letter}0${'-'.repeat(5000)}${letter}1`;
    await ask(server, '/infill', {
      input_prefix: numbered('p'),
      input_suffix: numbered('s'),
      input_extra: [{ text: numbered('x') }],
      n_predict: 100,
    });
    const [extra = '', prefix = '', suffix = ''] = `${promptOf(server)}`.split(/<...>/);
    expect([extra.length, prefix.length, suffix.length]).toEqual([2048 - 1024 - 200, 768, 254]);
    expect([extra.slice(-2), prefix.slice(-2), suffix.slice(0, 2)]).toEqual(['x1', 'p1', 's0']);
  });

  test.each([
    [{}, 'prefix token is missing. suffix token is missing. middle token is missing. '],
    [{ prefix: 900, middle: 902 }, 'suffix token is missing. '],
    // A token that no text stands for.
    [{ ...MARKS, suffix: 905 }, 'suffix token is missing. '],
  ])('a model with %j can not', async (infill, missing) => {
    const server = gapServer(infill);
    server.engine.tokenizer = {
      ...server.engine.tokenizer,
      decode: (tokens) => (tokens[0] === 905 ? '' : gapTokenizer().decode(tokens)),
    };
    expect(await ask(server, '/infill', {})).toMatchObject({
      status: 501,
      json: { error: { type: 'not_supported_error', message: `Infill is not supported by this model: ${missing}` } },
    });
  });

  test.each([
    [{ input_suffix: '' }, 'input_prefix', '"input_prefix" is required'],
    [{ input_prefix: '' }, 'input_suffix', '"input_suffix" is required'],
    [{ input_prefix: '', input_suffix: '', prompt: 5 }, 'prompt', '"prompt" must be a string'],
    [{ input_prefix: [49152], input_suffix: '' }, 'input_prefix', null],
    [
      { input_prefix: '', input_suffix: '', input_extra: {} },
      'input_extra',
      '"input_extra" must be an array of {"filename": string, "text": string}',
    ],
    [
      { input_prefix: '', input_suffix: '', input_extra: [{}] },
      'input_extra',
      'extra_context chunk must contain a "text" field with a string value',
    ],
    [
      { input_prefix: '', input_suffix: '', input_extra: [{ text: '', filename: 5 }] },
      'input_extra',
      'extra_context chunk\'s "filename" field must be a string',
    ],
    [{ input_prefix: '', input_suffix: '', temperature: 'x' }, 'temperature', null],
  ])('%j is refused', async (body, param, message) => {
    const { status, json } = await ask(gapServer(MARKS), '/infill', body);
    expect([status, json]).toMatchObject([400, { error: { param, message: message ?? expect.any(String) } }]);
  });
});

describe('suffix', () => {
  test('is what comes after the text', async () => {
    const server = gapServer(MARKS);
    const body = { prompt: ['a', 'b'], suffix: 'c', echo: true };
    const { json } = await ask(server, '/v1/completions', body);
    expect(server.engine.completions.map(({ body }) => body.prompt)).toEqual([
      '<PRE>a<SUF>c<MID>',
      '<PRE>b<SUF>c<MID>',
    ]);
    expect((json.choices as Json[]).map(({ text }) => text)).toEqual(['a Paris', 'b Paris']);
  });

  test.each([null, ''])('%j is none', async (suffix) => {
    const server = gapServer({});
    expect((await ask(server, '/v1/completions', { prompt: 'a', suffix })).status).toBe(200);
  });

  test.each([
    [
      'c',
      "'suffix' is not supported by this model: prefix token is missing. suffix token is missing. middle token is missing. Use a model that was trained to fill gaps, or send a prompt without it.",
    ],
    [5, "Field 'suffix': [json.exception.type_error.302] type must be string, but is number"],
  ])('%j is refused', async (suffix, message) => {
    expect(await ask(gapServer({}), '/v1/completions', { prompt: 'a', suffix })).toMatchObject({
      status: 400,
      json: { error: { param: 'suffix', message } },
    });
  });
});
