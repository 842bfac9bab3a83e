import { expect, test } from 'vitest';
import { Gate } from '../testing/gate.ts';
import { fanOut, type Indexed, type Task } from './fan-out.ts';

const NEVER = new AbortController().signal;

async function collect<T>(results: AsyncIterable<Indexed<T>>): Promise<Indexed<T>[]> {
  const all: Indexed<T>[] = [];
  for await (const result of results) all.push(result);
  return all;
}

/** Yields what its gates give, and records how it ended. */
function gated(gates: Gate<string>[], log: string[] = []): Task<string> {
  return async function* (signal) {
    try {
      for (const gate of gates) yield await gate.promise;
    } finally {
      log.push(signal.aborted ? 'aborted' : 'ended');
    }
  };
}

test('results come in the order of their arrival', async () => {
  const [a1, a2, b1] = [new Gate<string>(), new Gate<string>(), new Gate<string>()];
  const all = collect(fanOut([gated([a1, a2]), gated([b1])], 4, NEVER));
  b1.open('b1');
  await b1.promise;
  a2.open('a2');
  a1.open('a1');
  expect(await all).toEqual([
    [1, 'b1'],
    [0, 'a1'],
    [0, 'a2'],
  ]);
});

test('no more tasks are under way than the limit; the others follow in order', async () => {
  let underWay = 0;
  let most = 0;
  const started: number[] = [];
  const task = (index: number): Task<number> =>
    async function* () {
      started.push(index);
      most = Math.max(most, ++underWay);
      yield index;
      underWay--;
    };
  const all = await collect(
    fanOut(
      Array.from({ length: 7 }, (_, index) => task(index)),
      3,
      NEVER,
    ),
  );
  expect(all.map(([index]) => index).sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(started).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(most).toBe(3);
});

test('a task is asked for its next result when the last was taken', async () => {
  let asked = 0;
  const endless: Task<number> = async function* () {
    for (;;) yield asked++;
  };
  const results = fanOut([endless, endless], 2, NEVER);
  await results.next();
  await results.next();
  await results.return(undefined);
  expect(asked).toBeLessThanOrEqual(4);
});

test('one failure is thrown and aborts the others', async () => {
  const log: string[] = [];
  const failing: Task<string> = async function* () {
    yield 'a';
    throw new Error('lost');
  };
  const waiting: Task<string> = (signal) =>
    (async function* () {
      try {
        await new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
        yield 'never';
      } finally {
        log.push('left');
      }
    })();
  await expect(collect(fanOut([failing, waiting], 2, NEVER))).rejects.toThrow('lost');
  await Promise.resolve();
  expect(log).toEqual(['left']);
});

test('leaving the loop aborts them all', async () => {
  const log: string[] = [];
  const [first, second] = [new Gate<string>(), new Gate<string>()];
  first.open('a');
  const results = fanOut([gated([first, second], log), gated([new Gate<string>()], log)], 2, NEVER);
  await results.next();
  await results.return(undefined);
  second.open('b');
  await expect.poll(() => log).toEqual(['aborted']);
});

test('so does the signal', async () => {
  const abort = new AbortController();
  const task: Task<string> = (signal) =>
    (async function* () {
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
      yield 'never';
    })();
  const all = collect(fanOut([task, task], 2, abort.signal));
  abort.abort();
  await expect(all).rejects.toMatchObject({ name: 'AbortError' });
});

test('nothing of nothing', async () => {
  expect(await collect(fanOut([], 2, NEVER))).toEqual([]);
});
