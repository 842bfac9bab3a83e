import { beforeEach, describe, expect, test } from 'vitest';
import { EngineLost, type Json } from '../../engine/engine.ts';
import { CATALOG, CHAT_MODEL } from '../testing/catalog.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const CHAT = '/v1/chat/completions';

let server: TestServer;
/** What the engine says, token by token, if nothing happens. */
const TEXT = ['One', ' two', ' three', ' four'];

beforeEach(() => {
  server = createTestServer();
});

const ask = (fields: Json = {}) => ({ messages: [{ role: 'user', content: 'Count' }], stream: true, ...fields });

function chunk(content: string | null): Json {
  const choice = {
    index: 0,
    delta: content === null ? {} : { content },
    finish_reason: content === null ? 'stop' : null,
  };
  return { object: 'chat.completion.chunk', choices: [choice], timings: { predicted_ms: Math.random() } };
}

/** The engine under the model that was loaded last goes away. */
function crash(reason = 'The engine crashed: unreachable'): EngineLost {
  const lost = new EngineLost(reason);
  server.engine.loaded.at(-1)?.lostGate.open(lost);
  return lost;
}

/** Says `TEXT`, and crashes in each attempt before the token that `crashes` names. */
function crashing(crashes: (number | undefined)[], texts: string[][] = []) {
  let attempt = 0;
  server.engine.onComplete = async function* () {
    const text = texts[attempt] ?? TEXT;
    const at = crashes[attempt++];
    for (const [index, content] of text.entries()) {
      if (index === at) throw crash();
      yield chunk(content);
    }
    yield chunk(null);
  };
}

/** The text that a client of the stream reads, and the error at its end. */
async function read(response: Response) {
  const events = (await response.text()).split('\n\n').filter((event) => event.startsWith('data: {'));
  const data = events.map((event) => JSON.parse(event.slice('data: '.length)));
  return {
    text: data.map(({ choices }) => choices?.[0]?.delta?.content ?? '').join(''),
    ids: new Set(data.flatMap(({ id }) => id ?? [])).size,
    error: data.find(({ error }) => error)?.error.message as string | undefined,
  };
}

describe('an engine that is lost while it answers', () => {
  test.each([0, 1, 3])('before token %i: the stream goes on where it was', async (token) => {
    crashing([token]);
    const { text, ids, error } = await read(await server.send(CHAT, ask()));
    expect({ text, ids, error }).toEqual({ text: TEXT.join(''), ids: 1, error: undefined });
    expect(server.engine.loads).toHaveLength(2);
  });

  test('is asked the same again, with the same seed, and nothing beside it', async () => {
    crashing([2]);
    await read(await server.send(CHAT, ask({ temperature: 1 })));
    const [first, second] = server.engine.completions;
    expect(second?.body).toEqual(first?.body);
    expect([first?.alone, second?.alone]).toEqual([false, true]);
  });

  test('a document is computed again too', async () => {
    let attempt = 0;
    server.engine.onComplete = async function* () {
      if (attempt++ === 0) throw crash();
      yield { choices: [{ index: 0, message: { role: 'assistant', content: 'One' }, finish_reason: 'stop' }] };
    };
    const { choices } = await (await server.send(CHAT, ask({ stream: false }))).json();
    expect(choices[0].message.content).toBe('One');
  });

  test('a request that it is lost over twice is failed with its reason', async () => {
    crashing([1, 1]);
    const { text, error } = await read(await server.send(CHAT, ask()));
    expect(text).toBe('One');
    expect(error).toBe(
      'The engine was lost twice over this request, and it is not tried again: The engine crashed: unreachable',
    );
    expect(server.engine.loads).toHaveLength(2);
  });

  test('a request that only waited is not to blame, but does not wait for ever', async () => {
    server.engine.onComplete = async function* () {
      yield* [];
      throw crash();
    };
    server.engine.isFull = true;
    const { error } = await (await server.send(CHAT, ask())).json();
    expect(error.message).toMatch(/^The engine was lost 6 times/);
    expect(server.engine.completions.every(({ alone }) => alone === false)).toBe(true);
  });

  test('that gives another text the second time goes on with what was said', async () => {
    crashing([2], [TEXT, ['One', ' too'], [' and', ' three']]);
    const { text, error } = await read(await server.send(CHAT, ask()));
    expect({ text, error }).toEqual({ text: 'One two and three', error: undefined });
    expect(server.engine.completions[2]?.body.messages).toContainEqual({ role: 'assistant', content: 'One two' });
  });

  test.each<[of: string, content: unknown, whole: unknown]>([
    ['a text', 'Well: ', 'Well: One two'],
    ['parts', [{ type: 'text', text: 'Well: ' }], [{ type: 'text', text: 'Well: One two' }]],
    ['no parts', [], [{ type: 'text', text: 'One two' }]],
    ['nothing', null, 'One two'],
  ])('after a beginning that the caller gave: %s', async (_, content, whole) => {
    crashing([2], [TEXT, ['One', ' too'], [' and']]);
    const messages = [...ask().messages, { role: 'assistant', content }];
    const { text, error } = await read(await server.send(CHAT, ask({ messages })));
    expect({ text, error }).toEqual({ text: 'One two and', error: undefined });
    const continued = server.engine.completions.at(2)?.body;
    expect(continued?.messages).toEqual([...ask().messages, { role: 'assistant', content: whole }]);
  });

  test('or ends the stream with an error that says so, where it has a form to hold', async () => {
    crashing([2], [TEXT, ['One', ' too']]);
    const { text, error } = await read(await server.send(CHAT, ask({ response_format: { type: 'json_object' } })));
    expect(text).toBe('One two');
    expect(error).toMatch(/does not give the same text again/);
  });

  test('is told by /health', async () => {
    expect(await (await server.send('/health')).json()).toEqual({ status: 'ok' });
    crashing([1]);
    await read(await server.send(CHAT, ask()));
    expect(await (await server.send('/health')).json()).toEqual({
      status: 'ok',
      restarts: [{ model: expect.any(String), time: expect.any(Number), reason: 'The engine crashed: unreachable' }],
    });
  });

  test('an aborted request is not asked again', async () => {
    const abort = new AbortController();
    server.engine.onComplete = async function* () {
      yield chunk('One');
      abort.abort();
      throw crash();
    };
    const response = await server.send(CHAT, ask(), { signal: abort.signal });
    await response.text();
    expect(server.engine.loads).toHaveLength(1);
  });
});

describe('a request with a picture, under which an engine is lost', () => {
  const PICTURE = 'AQID';
  const [OLD, NEW] = ['<__media_old__>', '<__media_new__>'];

  beforeEach(() => {
    server = createTestServer({}, { ...CATALOG, models: [{ ...CHAT_MODEL, capabilities: ['chat', 'vision'] }] });
    server.engine.media = { image: true, marker: OLD };
    // As llama.cpp, which draws another one in each process.
    server.engine.onLoad = async () => {
      if (server.engine.loads.length > 1) server.engine.media = { image: true, marker: NEW };
    };
  });

  test.each([0, 2])('before token %i: the next engine finds it where its own marker is', async (token) => {
    crashing([token]);
    const content = [
      { type: 'text', text: 'a' },
      { type: 'image_url', image_url: { url: `data:image/png;base64,${PICTURE}` } },
      { type: 'text', text: 'b' },
    ];
    const { text, error } = await read(await server.send(CHAT, ask({ messages: [{ role: 'user', content }] })));
    expect({ text, error }).toEqual({ text: TEXT.join(''), error: undefined });
    const texts = server.engine.completions.map(({ body }) => (body.messages as [{ content: Json[] }])[0].content);
    expect(texts).toEqual([[{ type: 'text', text: `a${OLD}b` }], [{ type: 'text', text: `a${NEW}b` }]]);
    expect(server.engine.completions[1]?.files).toEqual([Uint8Array.of(1, 2, 3)]);
  });

  test('in a text too', async () => {
    crashing([2]);
    const { media_marker } = await (await server.send('/props')).json();
    const prompt = { prompt_string: `a ${media_marker} b`, multimodal_data: [PICTURE] };
    await read(await server.send('/v1/completions', { prompt, stream: true }));
    expect(server.engine.completions.map(({ body }) => body.prompt)).toEqual([`a ${OLD} b`, `a ${NEW} b`]);
  });
});
