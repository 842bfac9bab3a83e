import { afterEach, beforeEach, expect, it } from 'vitest';
import { startUpstreamServer, type UpstreamServer } from '../../../test/support/upstream-server.ts';
import { LlamatabError } from '../../errors.ts';
import type { UpstreamOptions } from '../../protocol.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';
import { ANSWERED_BY } from './upstream.ts';

let peer: UpstreamServer;
beforeEach(async () => {
  peer = await startUpstreamServer();
});
afterEach(() => peer.close());

const serve = (options: Partial<UpstreamOptions> = {}) =>
  createTestServer({ upstream: { baseURL: peer.baseURL, ...options } });
const CHAT = '/v1/chat/completions';
const question = (fields: object = {}) => ({ messages: [{ role: 'user', content: 'Hi' }], ...fields });
const by = (response: Response) => response.headers.get(ANSWERED_BY);
const listed = async ({ send }: TestServer) => (await (await send('/v1/models')).json()).upstream;

it('is not asked for what the device can do, nor for what is wrong with the request', async () => {
  const server = serve();
  const answer = await server.send(CHAT, question());
  expect([answer.status, by(answer)]).toEqual([200, 'device']);
  const refused = await server.send(CHAT, question({ temperature: 'hot' }));
  expect([refused.status, by(refused)]).toEqual([400, 'device']);
  expect(by(await server.send('/v1/models'))).toBeNull();
  expect((await server.send('/v1/models/load', { model: 'unknown' })).status).toBe(404);
  expect(peer.asked).toEqual([]);
  expect(await listed(server)).toEqual({ baseURL: peer.baseURL, answered: 0, lastReason: null });
});

it('gets a model that the device does not have by its name, without anything else of the caller', async () => {
  const server = serve({ apiKey: 'ours', model: 'big' });
  const headers = { Authorization: 'Bearer theirs', Cookie: 'a=b', 'X-Own': '1', 'Content-Type': 'application/json' };
  const answer = await server.send(CHAT, question({ model: 'gpt-9' }), {
    method: 'POST',
    body: JSON.stringify(question({ model: 'gpt-9' })),
    headers,
  });
  expect([answer.status, by(answer), answer.headers.get('Content-Type')]).toEqual([
    200,
    peer.baseURL,
    'application/json',
  ]);
  expect((await answer.json()).choices[0].message.content).toBe('From far away.');
  expect(peer.asked).toMatchObject([{ path: CHAT, body: question({ model: 'gpt-9' }) }]);
  const sent = peer.asked[0]?.headers;
  expect([sent?.authorization, sent?.cookie, sent?.['x-own']]).toEqual(['Bearer ours', undefined, undefined]);
  expect(await listed(server)).toEqual({ baseURL: peer.baseURL, answered: 1, lastReason: 'model_not_found' });
});

it('gets what the device has no memory for, under the name that it has there', async () => {
  const server = serve({ model: 'big' });
  server.engine.onLoad = () => Promise.reject(new LlamatabError('unavailable_error', 'no memory'));
  const answer = await server.send(CHAT, question({ model: 'local' }));
  expect([answer.status, by(answer)]).toEqual([200, peer.baseURL]);
  expect(peer.asked.map(({ body }) => body.model)).toEqual(['big']);
});

it('gets what comes while too many wait', async () => {
  const server = serve({ waiting: 2, model: 'big' });
  await server.send(CHAT, question());
  const [model] = server.engine.loaded;
  const ask = async (deferred: number) => {
    Object.assign(model?.workload ?? {}, { deferred });
    return by(await server.send(CHAT, question()));
  };
  expect([await ask(1), await ask(2), await ask(1)]).toEqual(['device', peer.baseURL, 'device']);
  expect(await listed(server)).toMatchObject({ answered: 1, lastReason: 'queue_full' });
  // It has none either, or can't be asked: the device answers in its turn.
  server.configure({ upstream: { baseURL: peer.baseURL, waiting: 2, model: 'broken' } });
  expect(await ask(2)).toBe('device');
  expect(peer.asked).toHaveLength(2);
  await peer.close();
  expect(await ask(2)).toBe('device');
  expect(await listed(server)).toMatchObject({ answered: 1 });
});

it('streams, and hears of an abort', async () => {
  const answer = await serve().send(CHAT, question({ model: 'gpt-9', stream: true }));
  expect([by(answer), answer.headers.get('Content-Type')]).toEqual([peer.baseURL, 'text/event-stream']);
  const reader = answer.body?.getReader();
  const { value } = (await reader?.read()) ?? {};
  expect(parseEvents(new TextDecoder().decode(value))).toMatchObject([{ choices: [{ delta: { content: 'Far' } }] }]);
  await reader?.cancel();
  await peer.abandoned;
});

it('an error of its own is passed on; if it can’t be asked, the device’s error says so', async () => {
  const server = serve();
  const broken = await server.send(CHAT, question({ model: 'broken' }));
  expect([broken.status, by(broken), (await broken.json()).error.message]).toEqual([500, peer.baseURL, 'out of order']);
  await peer.close();
  const gone = await server.send(CHAT, question({ model: 'gpt-9' }));
  expect([gone.status, (await gone.json()).error.message]).toEqual([
    404,
    expect.stringMatching(/'gpt-9' does not exist.*upstream server, http:.*Access-Control-Allow-Origin/),
  ]);
});

it('is not asked to go on with what another host has begun', async () => {
  const delivered = { status: 200, bytes: new TextEncoder().encode('{"choices":[') };
  const body = JSON.stringify(question({ model: 'gpt-9' }));
  const request = new Request(`https://site${CHAT}`, { method: 'POST', body });
  await expect(serve().fetch(request, { delivered })).rejects.toThrow();
  expect(peer.asked).toEqual([]);
});

it('is what the page says that was opened last, from the next request on', async () => {
  const server = createTestServer();
  const ask = () => server.send(CHAT, question({ model: 'gpt-9' }));
  expect([by(await ask()), await listed(server)]).toEqual([null, undefined]);
  server.configure({ upstream: { baseURL: peer.baseURL } });
  expect(by(await ask())).toBe(peer.baseURL);
  server.configure({ upstream: { baseURL: peer.baseURL, model: 'big' } });
  expect(await listed(server)).toMatchObject({ answered: 1 });
  server.configure({});
  expect([(await ask()).status, await listed(server)]).toEqual([404, undefined]);
  expect(peer.asked).toHaveLength(1);
});

it('each answer is news for who watches the models', async () => {
  const server = serve();
  const events = await server.send('/v1/models/sse');
  await server.send(CHAT, question({ model: 'gpt-9' }));
  const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('upstream_change')) text += (await reader?.read())?.value ?? '';
  expect(text).toContain(JSON.stringify({ model: '*', event: 'upstream_change' }));
  await reader?.cancel();
});
