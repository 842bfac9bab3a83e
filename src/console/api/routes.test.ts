import { describe, expect, it } from 'vitest';
import type { ModelStatus } from '../../index.ts';
import { createTestServer } from '../../server/testing/test-server.ts';
import { ALL_ROUTES, modelFor, type Route, requestOf, toCurl, toFetch, toSdk } from './routes.ts';

/** As the server has it: parameters by its own names, no query. */
const pattern = (path: string) =>
  `/v1${path.replace(/\?.*/, '')}`
    .replace('{model}', ':id{.+}')
    .replace('/slots/0', '/slots/:id')
    .replace('/realtime/try-it', '/realtime/:session');

it('lists each route of the server below /v1, and no other', () => {
  const { routes } = createTestServer();
  const served = new Set(
    routes
      .filter(({ method, path }) => path.startsWith('/v1') && ['GET', 'POST', 'DELETE'].includes(method))
      .map(({ method, path }) => `${method} ${path}`),
  );
  const listed = ALL_ROUTES.flatMap(({ method, path, same = [] }) =>
    [path, ...same].map((one) => `${method} ${pattern(one)}`),
  );
  expect([...listed].sort()).toEqual([...served].sort());
});

const route = (id: string) => ALL_ROUTES.find((route) => route.id === id) as Route;
const models = [
  { id: 'chatty', default: true, capabilities: ['chat'] },
  { id: 'org/vectors', default: false, capabilities: ['embedding'] },
] as ModelStatus[];

it('asks the model that can', () => {
  expect(modelFor(route('embeddings'), models)).toBe('org/vectors');
  expect(modelFor(route('speech'), models)).toBe('chatty');
  expect(modelFor(route('chat'), [])).toBe('local');
  expect(requestOf(route('model'), 'org/vectors').path).toBe('/models/org%2Fvectors');
  expect(JSON.parse(requestOf(route('chat'), 'chatty').body ?? '')).toMatchObject({ model: 'chatty' });
});

describe('as code', () => {
  const body = '{\n  "model": "m",\n  "it\'s": [],\n  "stream": true\n}';
  const request = { method: 'POST', path: '/chat/completions', body };

  it('curl: quoted for a shell', () => {
    expect(toCurl(request, 'http://x/v1')).toBe(
      `curl 'http://x/v1/chat/completions' \\
  -H 'Content-Type: application/json' \\
  -d '{
  "model": "m",
  "it'\\''s": [],
  "stream": true
}' \\
  --no-buffer`,
    );
    expect(toCurl({ method: 'DELETE', path: '/a', body: null }, '')).toBe("curl '/a' \\\n  -X DELETE");
    expect(toCurl({ method: 'POST', path: '/a', body: null }, '', { model: 'm' })).toContain("-F 'model=m'");
  });

  it.each(ALL_ROUTES)('fetch and SDK of $id are JavaScript', (route) => {
    const request = requestOf(route, 'm');
    for (const code of [toFetch(request, '/v1', route.form), toSdk(request, route)]) {
      const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
      expect(() => new AsyncFunction(code.replaceAll(/^import .*$/gm, ''))).not.toThrow();
    }
  });

  it('fetch: sends what curl sends, and reads a stream as it comes', async () => {
    const code = toFetch(request, '/v1');
    expect(code).toContain('    model: "m",\n');
    const sent: unknown[] = [];
    const said: string[] = [];
    const fetch = async (url: string, init: RequestInit) => {
      sent.push(url, init.method, JSON.parse(String(init.body)));
      return new Response('data: 1\n\n');
    };
    const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
    await new AsyncFunction('fetch', 'console', code)(fetch, { log: (text: string) => said.push(text) });
    expect(sent).toEqual(['/v1/chat/completions', 'POST', JSON.parse(body)]);
    expect(said).toEqual(['data: 1\n\n']);
  });

  it('SDK: its own method, or the one for any route', () => {
    expect(toSdk(request, route('chat'))).toContain('await openai.chat.completions.create({\n  model: "m",');
    expect(toSdk(requestOf(route('tokenize'), 'm'), route('tokenize'))).toContain("openai.post('/tokenize', { body: {");
    expect(toSdk(requestOf(route('health'), 'm'), route('health'))).toContain("openai.get('/health')");
  });
});
