import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { CHAT_MODEL, EMBEDDING_MODEL } from '../testing/catalog.ts';
import { Gate } from '../testing/gate.ts';
import { createTestServer } from '../testing/test-server.ts';

const MODEL = 'all-minilm-l6-v2';

async function embed(body: Json, server = createTestServer()) {
  const response = await server.send('/v1/embeddings', { model: MODEL, ...body });
  return { status: response.status, json: (await response.json()) as Json & { error: Json; data: Json[] }, server };
}

describe('POST /v1/embeddings', () => {
  test('answers in llama-server’s shape, with the caller’s name of the model', async () => {
    const { json, server } = await embed({ input: 'x' });
    expect(json).toEqual({
      model: MODEL,
      object: 'list',
      usage: { prompt_tokens: 3, total_tokens: 3 },
      data: [{ embedding: [0.6, 0.8, 0, 0], index: 0, object: 'embedding' }],
    });
    expect(server.engine.embeddings[0]).toMatchObject({ input: 'x', normalize: 2 });
  });

  test('embeds all inputs at once and keeps their order', async () => {
    const server = createTestServer();
    const gates = new Map(['a', 'b', 'c'].map((input) => [input, new Gate<{ embedding: number[]; tokens: number }>()]));
    server.engine.onEmbed = ({ input }) => gates.get(input as string)?.promise ?? Promise.reject(new Error());
    const pending = embed({ input: ['a', 'b', 'c'] }, server);
    await expect.poll(() => server.engine.embeddings.length).toBe(3);
    for (const [index, input] of ['c', 'a', 'b'].entries()) {
      gates.get(input)?.open({ embedding: [index], tokens: index + 1 });
    }
    const { json } = await pending;
    expect(json.data.map(({ embedding, index }) => [embedding, index])).toEqual([
      [[1], 0],
      [[2], 1],
      [[0], 2],
    ]);
    expect(json.usage).toEqual({ prompt_tokens: 6, total_tokens: 6 });
  });

  describe('an input that is too long', () => {
    const reason =
      'input (702 tokens) is too large to process. increase the physical batch size (current batch size: 512)';
    const server = () => {
      const server = createTestServer();
      server.engine.onEmbed = async ({ input }) => {
        if (input.length > 5) throw new LlamatabError('server_error', reason);
        return { embedding: [1, 0, 0, 0], tokens: 1 };
      };
      return server;
    };

    test.each([
      [{ input: 'too long' }, "'input'"],
      [{ content: 'too long' }, "'content'"],
      [{ input: ['a', 'b', 'too long', 'c'] }, 'input[2], one of 4'],
    ])('%j is refused by its place', async (body, which) => {
      const { status, json } = await embed(body, server());
      const [param = ''] = Object.keys(body);
      const message = `${reason}. That is ${which}: send it in shorter parts.`;
      expect([status, json.error]).toEqual([400, { code: 400, type: 'invalid_request_error', param, message }]);
    });

    test('another failure is the engine’s', async () => {
      const broken = createTestServer();
      broken.engine.onEmbed = () => Promise.reject(new LlamatabError('server_error', 'out of memory'));
      expect((await embed({ input: ['a', 'b'] }, broken)).status).toBe(500);
    });
  });

  test('gives little-endian floats in base64', async () => {
    const { json } = await embed({ input: 'x', encoding_format: 'base64' });
    const bytes = Uint8Array.from(atob(json.data[0]?.embedding as string), (char) => char.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    expect([0, 4, 8, 12].map((offset) => view.getFloat32(offset, true))).toEqual([0.6, 0.8, 0, 0].map(Math.fround));
    expect(json.data[0]).toMatchObject({ encoding_format: 'base64', object: 'embedding', index: 0 });
  });

  test('shortens to dimensions, at length 1', async () => {
    const { json } = await embed({ input: 'x', dimensions: 1 });
    expect(json.data[0]?.embedding).toEqual([1]);
  });

  test.each([0, 1.5, 'x', 5])('refuses dimensions %j', async (dimensions) => {
    const { status, json } = await embed({ input: 'x', dimensions });
    expect([status, json.error.param]).toEqual([400, 'dimensions']);
    if (dimensions === 5) expect(json.error.message).toContain('at most 4');
  });

  test.each([
    [-1, -1],
    [-7, -1],
    [1e300, 2147483647],
    [null, 2],
  ])('embd_normalize %j is %j', async (embd_normalize, normalize) => {
    const { server } = await embed({ input: 'x', embd_normalize });
    expect(server.engine.embeddings[0]?.normalize).toBe(normalize);
  });

  test('refuses more inputs than OpenAI does', async () => {
    const { status, json } = await embed({ input: Array(2049).fill('x') });
    expect([status, json.error.message]).toEqual([400, expect.stringContaining('the limit is 2048')]);
  });

  test('one failure fails the request and ends the other inputs', async () => {
    const server = createTestServer();
    server.engine.onEmbed = ({ input, signal }) =>
      input === 'bad'
        ? Promise.reject(new LlamatabError('server_error', 'too large to process'))
        : new Promise((_, reject) => {
            signal?.addEventListener('abort', () => reject(signal.reason));
          });
    const { status, json } = await embed({ input: ['a', 'bad', 'b'] }, server);
    expect([status, json.error.message]).toEqual([500, 'too large to process']);
    expect(server.engine.embeddings.every(({ signal }) => signal?.aborted)).toBe(true);
  });

  test('of a model for text is llama-server’s 501, and names models that can', async () => {
    const { status, json } = await embed({ model: 'local', input: 'x' });
    expect(status).toBe(501);
    expect(json.error.message).toBe(
      `This server does not support embeddings. Start it with \`--embeddings\`. '${CHAT_MODEL.id}' has none, ask one of these as \`model\`: ${EMBEDDING_MODEL.id}.`,
    );
  });

  test.each([
    ['token ids', [101, 4937, 102], [[101, 4937, 102]]],
    ['several of them', [[101, 102], 'a', ['b', 5]], [[101, 102], 'a', ['b', 5]]],
    ['mixed with text', ['a', 5], [['a', 5]]],
    ['an object', { prompt_string: 'a' }, ['a']],
  ])('takes %s', async (_, input, inputs) => {
    const { status, server } = await embed({ input });
    expect(status).toBe(200);
    expect(server.engine.embeddings.map((request) => request.input)).toEqual(inputs);
  });

  test.each([
    [[49152], 400, 'Prompt contains invalid tokens'],
    [[-1], 400, 'Prompt contains invalid tokens'],
    [[[]], 400, 'Input content cannot be empty'],
    [[['a', 'b']], 400, '"prompt" elements must be a string'],
    [[5, null], 400, '"prompt" elements must be a string'],
    [{ prompt_string: 'a', multimodal_data: [] }, 500, 'Multimodal data provided'],
  ])('refuses %j', async (input, wanted, message) => {
    const { status, json, server } = await embed({ input });
    expect([status, json.error]).toMatchObject([wanted, { param: 'input', message: expect.stringContaining(message) }]);
    expect(server.engine.embeddings).toEqual([]);
  });

  test.each([
    [-1, [3, -4]],
    [0, [24570, -32760]],
    [1, [3 / 7, -4 / 7]],
    [2, [0.6, -0.8]],
    [3, [3 / 91 ** (1 / 3), -4 / 91 ** (1 / 3)]],
  ])('shortened, is normalized by %j again', async (embd_normalize, expected) => {
    const server = createTestServer();
    server.engine.onEmbed = async () => ({ embedding: [3, -4, 5, 6], tokens: 3 });
    const { json } = await embed({ input: 'x', dimensions: 2, embd_normalize }, server);
    const embedding = json.data[0]?.embedding as number[];
    for (const [index, value] of expected.entries()) expect(embedding[index]).toBeCloseTo(value, 9);
    expect(embedding).toHaveLength(2);
  });

  test('without pooling there is no vector of a text', async () => {
    const server = createTestServer();
    server.engine.metadata['general.architecture'] = 'bert';
    server.engine.metadata['bert.pooling_type'] = '0';
    const { status, json } = await embed({ input: 'x' }, server);
    expect([status, json.error.message]).toEqual([
      400,
      "Pooling type 'none' is not OAI compatible. Please use a different pooling type",
    ]);
    expect((await server.send('/embedding', { model: MODEL, input: 'x' })).status).toBe(501);
  });
});

describe('llama-server’s own shape', () => {
  test.each([
    ['/v1/embeddings', { content: ['x', 'y'] }],
    ['/embedding', { input: ['x', 'y'] }],
    ['/embeddings', { content: ['x', 'y'], encoding_format: 'base64', dimensions: 2 }],
  ])('%s %j', async (path, body) => {
    const response = await createTestServer().send(path, { model: MODEL, ...body });
    expect([response.status, await response.json()]).toEqual([
      200,
      [
        { index: 0, embedding: [[0.6, 0.8, 0, 0]] },
        { index: 1, embedding: [[0.6, 0.8, 0, 0]] },
      ],
    ]);
  });

  test('names the field that held the text', async () => {
    const response = await createTestServer().send('/embedding', { model: MODEL, content: [] });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param: 'content' } }]);
  });
});
