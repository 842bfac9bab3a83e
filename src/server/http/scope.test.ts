import { describe, expect, test, vi } from 'vitest';
import { MAX_BODY_BYTES } from './json.ts';
import { Scope } from './scope.ts';

const post = (body: BodyInit, signal?: AbortSignal) =>
  new Request('https://site/', { method: 'POST', body, ...(signal && { signal }) });

describe('a body', () => {
  test('is read once, also by a detached scope', async () => {
    const request = post('{"stream":true}');
    const read = vi.spyOn(request, 'arrayBuffer');
    const scope = new Scope(request);
    expect(await scope.body()).toEqual({ stream: true });
    expect(await scope.detached(new AbortController().signal).json()).toEqual({ stream: true });
    expect(read).toHaveBeenCalledTimes(1);
  });

  test('that can’t be read is refused each time for the same reason', async () => {
    const scope = new Scope(post(' '.repeat(MAX_BODY_BYTES + 1)));
    for (const read of [scope.body(), scope.json()])
      await expect(read).rejects.toThrow(`the limit is ${MAX_BODY_BYTES}`);
  });
});

test.each([
  ['', true],
  ['?autoload', true],
  ['?autoload=true', true],
  ['?autoload=1', true],
  ['?autoload=false', false],
  ['?autoload=yes', false],
])('%s', (query, autoload) => {
  expect(new Scope(new Request(`https://site/${query}`)).autoload).toBe(autoload);
});

describe('the signal', () => {
  test('is an AbortError, whatever the client’s reason', () => {
    const client = new AbortController();
    const { signal } = new Scope(post('{}', client.signal));
    client.abort(new Error('bored'));
    expect(signal.reason).toMatchObject({ name: 'AbortError' });
  });

  test('of a detached scope does not hear the client', () => {
    const [client, stop] = [new AbortController(), new AbortController()];
    const { signal } = new Scope(post('{}', client.signal)).detached(stop.signal);
    client.abort();
    expect(signal.aborted).toBe(false);
    stop.abort();
    expect(signal.aborted).toBe(true);
  });
});
