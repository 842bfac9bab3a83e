/**
 * Does `work` for all items at once, of which the engine queues what exceeds its slots; results are in the items'
 * order. A failure fails the request, so it aborts the other items' work.
 */
export async function together<Item, Result>(
  items: Item[],
  signal: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const failed = new AbortController();
  const either = abortedByEither(signal, failed);
  try {
    return await Promise.all(items.map((item) => work(item, either)));
  } catch (error) {
    failed.abort();
    throw error;
  }
}

/** `AbortSignal.any()` is missing in some of the browsers that we support. */
export function abortedByEither(signal: AbortSignal, controller: AbortController): AbortSignal {
  if (signal.aborted) controller.abort();
  else signal.addEventListener('abort', () => controller.abort(), { once: true });
  return controller.signal;
}
