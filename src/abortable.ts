/** Waiting that can be aborted. */

/** Settles as `promise` does, or rejects with the signal's reason if it is aborted first. The work behind the promise goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * A signal that is aborted when the first of `signals` is, with the same reason: `AbortSignal.any()`, which Safari has only since
 * 17.4. Where the platform has it, it is used, because it holds on to none of `signals`.
 */
export function anySignal(...signals: AbortSignal[]): AbortSignal {
  if ('any' in AbortSignal) return AbortSignal.any(signals);
  const controller = new AbortController();
  const onAbort = ({ target }: { target: unknown }) => {
    for (const signal of signals) signal.removeEventListener('abort', onAbort);
    controller.abort((target as AbortSignal).reason);
  };
  for (const signal of signals) signal.addEventListener('abort', onAbort);
  const target = signals.find(({ aborted }) => aborted);
  if (target !== undefined) onAbort({ target });
  return controller.signal;
}
