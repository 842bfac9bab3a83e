import { anySignal } from '../../abortable.ts';

/**
 * Does `work` for all items at once, of which the engine queues what exceeds its slots; results are in the items'
 * order. A failure fails the request, so it aborts the other items' work.
 */
export async function together<Item, Result>(
  items: Item[],
  signal: AbortSignal,
  work: (item: Item, signal: AbortSignal, index: number) => Promise<Result>,
): Promise<Result[]> {
  const failed = new AbortController();
  const either = anySignal(signal, failed.signal);
  try {
    return await Promise.all(items.map((item, index) => work(item, either, index)));
  } catch (error) {
    failed.abort();
    throw error;
  }
}
