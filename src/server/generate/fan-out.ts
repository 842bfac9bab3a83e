/** Several tasks of one request side by side, their results as they come. */
import { anySignal } from '../../abortable.ts';

/** One result, and the place of its task among the request's. */
export type Indexed<T> = [index: number, result: T];

/** Starts a task; aborting the signal ends it. */
export type Task<T> = (signal: AbortSignal) => AsyncIterable<T>;

interface Arrival<T> {
  index: number;
  source: AsyncIterator<T>;
  /** Rejects with what the task failed of. */
  result: Promise<IteratorResult<T>>;
}

/**
 * The results of all tasks in the order in which they come. The first failure is thrown and aborts the other tasks, and so
 * does leaving the loop.
 * @param limit Tasks under way at once; the others follow in order, so that a request of many leaves room for other requests.
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
    // Not awaited: what they fail of now concerns nobody any more.
    for (const source of underWay) source.return?.(undefined).catch(() => {});
  }
}
