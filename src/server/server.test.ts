import { describe, expect, test } from 'vitest';
import type { Json } from '../engine/engine.ts';
import { NATIVE_ROUTES } from '../transport/address.ts';
import { CATALOG, CHAT_MODEL, EMBEDDING_MODEL } from './testing/catalog.ts';
import { CHAT_RESULT } from './testing/fake-engine.ts';
import { createTestServer } from './testing/test-server.ts';

const ask = (model: unknown) => ({ model, messages: [{ role: 'user', content: 'Hi' }] });
const CHAT = '/v1/chat/completions';

describe('every answer', () => {
  test.each([
    ['/health', 200],
    ['/v1/health', 200],
    ['/nothing', 404],
    ['/v1/models', 200],
    ['/v1/models/none', 404],
  ])('%s carries our marker and CORS headers', async (path, status) => {
    const response = await createTestServer().send(path, undefined, { headers: { Origin: 'https://other' } });
    expect(response.status).toBe(status);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-origin': 'https://other',
      'access-control-allow-credentials': 'true',
      server: 'llamatab',
      'x-llamatab': '1.2.3',
    });
  });

  test('a preflight is allowed on any path', async () => {
    const response = await createTestServer().send('/any/thing', undefined, { method: 'OPTIONS' });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/html',
      'access-control-allow-methods': 'GET, POST, DELETE, OPTIONS',
      'access-control-allow-headers': '*',
      'access-control-allow-origin': '',
    });
  });

  test.each([
    ['GET', '/v1/embeddings'],
    ['PUT', '/models/load'],
    ['DELETE', '/v1/models'],
    ['POST', '/health'],
  ])('%s %s is not found', async (method, path) => {
    const response = await createTestServer().send(path, undefined, { method });
    expect([response.status, await response.json()]).toEqual([
      404,
      { error: { code: 404, message: 'File Not Found', type: 'not_found_error', param: null } },
    ]);
  });
});

test('what is intercepted outside /v1/ are the server’s routes, by their methods', () => {
  const routes = createTestServer().routes.filter(({ path }) => !path.startsWith('/v1/') && !/[*:]/.test(path));
  const sorted = (routes: string[]) => [...new Set(routes)].sort();
  const intercepted = [...NATIVE_ROUTES].flatMap(([path, methods]) => methods.map((method) => `${path} ${method}`));
  expect(sorted(intercepted)).toEqual(sorted(routes.map(({ path, method }) => `${path} ${method}`)));
});

describe('the model of a request', () => {
  const aliases = { 'gpt-4o-mini': 'local', 'text-x': 'smollm2', broken: 'gone' };

  test.each([undefined, null, '', 'local', 'smollm2', CHAT_MODEL.id, 'gpt-4o-mini', 'text-x'])(
    '%j is the default',
    async (model) => {
      const response = await createTestServer({ aliases }).send(CHAT, ask(model));
      expect(((await response.json()) as Json).model).toBe(CHAT_MODEL.id);
    },
  );

  test('any other name is a 404 that lists the models', async () => {
    for (const [model, named] of [
      ['gpt-4', 'gpt-4'],
      ['broken', 'gone'],
      ['toString', 'toString'],
    ]) {
      const response = await createTestServer({ aliases }).send(CHAT, ask(model));
      expect([response.status, await response.json()]).toMatchObject([
        404,
        { error: { type: 'model_not_found', param: 'model', message: expect.stringContaining(`'${named}'`) } },
      ]);
    }
  });

  test('"*" catches any other name', async () => {
    const response = await createTestServer({ aliases: { '*': 'local' } }).send(CHAT, ask('gpt-4'));
    expect(response.status).toBe(200);
  });

  test('must be a string', async () => {
    const response = await createTestServer().send(CHAT, ask(5));
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param: 'model' } }]);
  });

  test('"local" may be set by the site', async () => {
    const other = { ...CHAT_MODEL, id: 'other', aliases: ['o'] };
    const catalog = { ...CATALOG, models: [...CATALOG.models, other] };
    const server = createTestServer({ defaultModel: 'o' }, catalog);
    expect(((await (await server.send(CHAT, ask('local'))).json()) as Json).model).toBe('other');
    const { data } = (await (await server.send('/models')).json()) as { data: Json[] };
    expect(data.map((model) => model.default)).toEqual([false, false, true]);
  });

  test('and the keys are what the site said last', async () => {
    const other = { ...CHAT_MODEL, id: 'other', aliases: ['o'] };
    const server = createTestServer(
      { aliases: { before: 'local' } },
      { ...CATALOG, models: [...CATALOG.models, other] },
    );
    const asked = async (model: string) => {
      const headers = { Authorization: 'Bearer new' };
      const response = await server.send(CHAT, ask(model), { headers });
      return response.status === 200 ? ((await response.json()) as Json).model : response.status;
    };
    expect([await asked('local'), await asked('before')]).toEqual([CHAT_MODEL.id, CHAT_MODEL.id]);
    server.configure({ defaultModel: 'o', aliases: { after: CHAT_MODEL.id }, apiKeys: ['new'] });
    expect([await asked('local'), await asked('before'), await asked('after')]).toEqual(['other', 404, CHAT_MODEL.id]);
    expect((await server.send(CHAT, ask('local'))).status).toBe(401);
  });

  test('an embedding model is asked for text in vain, without being loaded', async () => {
    const server = createTestServer();
    const response = await server.send(CHAT, ask('all-minilm-l6-v2'));
    expect([response.status, await response.json()]).toMatchObject([
      500,
      { error: { message: 'the current context does not logits computation. skipping' } },
    ]);
    expect(server.store.opens).toBe(0);
  });
});

test('a catalog that can’t be fetched is an answer too', async () => {
  const server = createTestServer();
  server.store.catalog = () => Promise.reject(new Error('offline'));
  expect((await server.send('/v1/models')).status).toBe(500);
});

test('requests run side by side: the engine queues them', async () => {
  const server = createTestServer();
  const order: unknown[] = [];
  server.engine.onComplete = async function* ({ body }) {
    order.push((body.messages as Json[])[0]?.content);
    yield CHAT_RESULT;
  };
  const contents = Array.from({ length: 20 }, (_, index) => `${index}`);
  const responses = await Promise.all(
    contents.map((content) => server.send(CHAT, { messages: [{ role: 'user', content }] })),
  );
  expect(responses.every(({ status }) => status === 200)).toBe(true);
  expect(order).toEqual(contents);
  expect(server.engine.loads).toHaveLength(1);
});

test.each(['/health', '/props', '/v1/models', '/metrics', '/nothing'])(
  'HEAD %s is GET without its body',
  async (path) => {
    const server = createTestServer();
    const [head, get] = [await server.send(path, undefined, { method: 'HEAD' }), await server.send(path)];
    expect([head.status, await head.text()]).toEqual([get.status, '']);
    expect([...head.headers]).toEqual([...get.headers]);
  },
);

describe('?autoload=false', () => {
  test.each([
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'Hi' }] }],
    ['/v1/completions', { prompt: ['a', 'b'], n: 2 }],
    ['/completion', { prompt: 'a' }],
    ['/v1/embeddings', { model: EMBEDDING_MODEL.id, input: ['a', 'b'] }],
    ['/tokenize', { content: 'a' }],
  ])('%s loads nothing, and answers from a model that is loaded', async (path, body) => {
    const server = createTestServer();
    const refused = await server.send(`${path}?autoload=false`, body);
    const { error } = (await refused.json()) as { error: Json };
    expect([refused.status, error.message]).toEqual([400, 'model is not loaded']);
    expect(server.store.opens).toBe(0);
    await server.send('/models/load', 'model' in body ? { model: body.model } : {});
    expect((await server.send(`${path}?autoload=false`, body)).status).toBe(200);
  });
});

test('a body of null is one without fields, on every route', async () => {
  const { routes } = createTestServer();
  const paths = routes.filter(({ method, path }) => method === 'POST' && !path.includes(':')).map(({ path }) => path);
  const answer = async (path: string, body: string) => {
    const response = await createTestServer().send(path, body);
    return [path, response.status, await response.text()];
  };
  for (const path of paths) expect(await answer(path, 'null')).toEqual(await answer(path, '{}'));
});
