/** Runs the tasks of one request side by side. */
import { anySignal } from '../../abortable.ts';

/** A result, and its task's index. */
export type Indexed<T> = [index: number, result: T];

/** Starts a task, which aborting the signal ends. */
export type Task<T> = (signal: AbortSignal) => AsyncIterable<T>;

interface Arrival<T> {
  index: number;
  source: AsyncIterator<T>;
  /** Rejects if the task fails. */
  result: Promise<IteratorResult<T>>;
}

/**
 * Yields the results of all tasks as they arrive. The first failure is thrown and aborts the other tasks; leaving the
 * loop aborts them, too.
 * @param limit Tasks under way at once; the others follow in order, so that a request of many leaves room for other
 *   requests.
 */
export async function* fanOut<T>(tasks: Task<T>[], limit: number, signal: AbortSignal): AsyncGenerator<Indexed<T>> {
  const [first, ...others] = tasks;
  if (first !== undefined && others.length === 0) {
    for await (const result of first(signal)) yield [0, result];
    return;
  }
  const ended = new AbortController();
  const either = anySignal(signal, ended.signal);
  const underWay = new Set<AsyncIterator<T>>();
  const arrived: Arrival<T>[] = [];
  let wake = () => {};
  let started = 0;
  const pull = (index: number, source: AsyncIterator<T>) => {
    const result = source.next();
    const arrive = () => {
      arrived.push({ index, source, result });
      wake();
    };
    result.then(arrive, arrive);
  };
  const start = () => {
    const task = tasks[started];
    if (task === undefined) return;
    const source = task(either)[Symbol.asyncIterator]();
    underWay.add(source);
    pull(started++, source);
  };

  try {
    while (started < Math.min(limit, tasks.length)) start();
    while (underWay.size > 0) {
      const next = arrived.shift();
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const { done, value } = await next.result;
      if (done) {
        underWay.delete(next.source);
        start();
      } else {
        yield [next.index, value];
        pull(next.index, next.source);
      }
    }
  } finally {
    ended.abort();
    // Not awaited: their failures no longer matter.
    for (const source of underWay) source.return?.(undefined).catch(() => {});
  }
}
