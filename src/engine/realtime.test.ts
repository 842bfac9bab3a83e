import { expect, test, vi } from 'vitest';
import type { Json } from './engine.ts';
import { converse } from './realtime.ts';
import type { WllamaGuard } from './wllama-guard.ts';

/** An engine that answers each event with one of its own, some polls later. */
function fakeGuard({ steps = 3 } = {}) {
  const calls: [name: string, fields: Json][] = [];
  const due: { event: Json; polls: number }[] = [{ event: { type: 'session.created' }, polls: 0 }];
  let open = true;
  const action = vi.fn(async (name: string, fields: Json) => {
    if (name !== 'get_result') calls.push([name, fields]);
    if (name === 'realtime_start') return { success: true, message: '', req_id: 5 };
    if (name === 'cancel') return { success: true };
    if (name === 'realtime_send') {
      if (!open) throw new Error('closed');
      const event = JSON.parse(fields.data_json as string);
      due.push({ event: { type: 'heard', event }, polls: steps });
      if (event.type === 'end') open = false;
      return { success: true };
    }
    for (const entry of due) entry.polls--;
    const ready = due.filter(({ polls }) => polls <= 0).map(({ event }) => event);
    due.splice(0, due.length, ...due.filter(({ polls }) => polls > 0));
    const has_more = open || due.length > 0;
    return { success: true, has_more, is_error: false, data_json: ready.length > 0 ? JSON.stringify(ready) : '' };
  });
  return { guard: { action } as unknown as WllamaGuard, calls, action };
}

async function* input(...events: Json[]): AsyncGenerator<Json> {
  yield* events;
  await new Promise(() => {});
}

test('events go in and come out in order, until the engine ends the session', async () => {
  const { guard, calls } = fakeGuard();
  const heard: Json[] = [];
  const request = { options: { seed: 1 }, input: input({ type: 'a' }, { type: 'end' }) };
  for await (const event of converse(guard, request)) heard.push(event);
  expect(heard).toEqual([
    { type: 'session.created' },
    { type: 'heard', event: { type: 'a' } },
    { type: 'heard', event: { type: 'end' } },
  ]);
  expect(calls).toEqual([
    ['realtime_start', { data_json: '{"seed":1}' }],
    ['realtime_send', { req_id: 5, data_json: '{"type":"a"}' }],
    ['realtime_send', { req_id: 5, data_json: '{"type":"end"}' }],
  ]);
});

test('leaving the loop cancels the session and lets go of its client', async () => {
  const { guard, calls } = fakeGuard();
  const left = vi.fn();
  const events = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: async () => left() }),
  };
  for await (const _ of converse(guard, { options: {}, input: events as AsyncIterable<Json> })) break;
  expect(calls.at(-1)).toEqual(['cancel', { req_id: 5 }]);
  expect(left).toHaveBeenCalled();
});

test('an engine that waits is polled now and then, and at once when its client speaks', async () => {
  vi.useFakeTimers();
  try {
    const { guard, action } = fakeGuard();
    let speak: (event: Json) => void = () => {};
    const spoken = new Promise<Json>((resolve) => {
      speak = resolve;
    });
    const events = (async function* () {
      yield await spoken;
      await new Promise(() => {});
    })();
    const talk = converse(guard, { options: {}, input: events });
    await talk.next();
    const next = talk.next();
    await vi.advanceTimersByTimeAsync(0);
    const polls = action.mock.calls.length;
    await vi.advanceTimersByTimeAsync(100);
    expect(action.mock.calls.length - polls).toBe(5);
    speak({ type: 'a' });
    await vi.advanceTimersByTimeAsync(0);
    expect((await next).value).toEqual({ type: 'heard', event: { type: 'a' } });
    await talk.return(undefined);
  } finally {
    vi.useRealTimers();
  }
});

test('an abort ends it', async () => {
  const { guard, calls } = fakeGuard();
  const abort = new AbortController();
  const talk = converse(guard, { options: {}, input: input(), signal: abort.signal });
  await talk.next();
  abort.abort();
  await expect(talk.next()).rejects.toMatchObject({ name: 'AbortError' });
  expect(calls.at(-1)?.[0]).toBe('cancel');
});
