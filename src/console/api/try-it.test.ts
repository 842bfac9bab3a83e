import { expect, it } from 'vitest';
import { type Outcome, tryIt } from './try-it.ts';

async function outcomes(send: () => Promise<Response>, abort = new AbortController()): Promise<Outcome[]> {
  const seen: Outcome[] = [];
  await tryIt(
    send,
    (outcome) => seen.push(outcome),
    abort.signal,
    () => 0,
  );
  return seen;
}

it('tells a stream as it comes', async () => {
  const body = new ReadableStream({
    start(controller) {
      // A character that is cut in two.
      for (const chunk of [[0x61, 0xc3], [0xa9]]) controller.enqueue(new Uint8Array(chunk));
      controller.close();
    },
  });
  const seen = await outcomes(async () => new Response(body, { headers: { 'Content-Type': 'text/event-stream' } }));
  expect(seen.map(({ state, status, text, bytes }) => [state, status, text, bytes])).toEqual([
    ['sending', undefined, '', 0],
    ['sending', 200, '', 0],
    ['receiving', 200, 'a', 2],
    ['receiving', 200, 'aé', 3],
    ['done', 200, 'aé', 3],
  ]);
});

it('keeps a sound, and of a long text its beginning', async () => {
  const sound = await outcomes(async () => new Response('RIFF', { headers: { 'Content-Type': 'audio/wav' } }));
  expect(sound.at(-1)).toMatchObject({ state: 'done', bytes: 4, text: '' });
  expect(await sound.at(-1)?.sound?.text()).toBe('RIFF');
  const long = await outcomes(async () => new Response('x'.repeat(300_000)));
  expect(long.at(-1)).toMatchObject({ bytes: 300_000, cut: true });
  expect(long.at(-1)?.text).toHaveLength(200_000);
});

it('tells a failure from a stop', async () => {
  const fails = async () => {
    throw new TypeError('no network');
  };
  expect((await outcomes(fails)).at(-1)).toMatchObject({ state: 'failed', problem: 'no network' });
  const abort = new AbortController();
  abort.abort();
  expect((await outcomes(fails, abort)).at(-1)).toMatchObject({ state: 'stopped' });
});

it('stops a body that waits for more', async () => {
  const abort = new AbortController();
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('a'));
    },
  });
  const seen: Outcome[] = [];
  const onChange = (outcome: Outcome) => {
    seen.push(outcome);
    if (outcome.state === 'receiving') abort.abort();
  };
  const headers = { 'Content-Type': 'text/event-stream' };
  await tryIt(async () => new Response(body, { headers }), onChange, abort.signal);
  expect(seen.at(-1)).toMatchObject({ state: 'stopped', text: 'a' });
});
