/** Realtime sessions, in which a model listens and answers at the same time. */
import type { Json, RealtimeRequest } from './engine.ts';
import type { WllamaGuard } from './wllama-guard.ts';

/** Polls without an event after which the engine counts as idle. An event may take a few steps of work. */
const BUSY_POLLS = 8;
/** Milliseconds between polls of an idle engine, as in wllama. The client's next event ends the wait. */
const IDLE_INTERVAL = 20;

/** Yields the server's events. Each poll computes one step; leaving the loop ends the session. */
export async function* converse(
  guard: WllamaGuard,
  { options, input, signal, onAccepted }: RealtimeRequest,
): AsyncGenerator<Json> {
  const { req_id } = await guard.action('realtime_start', { data_json: JSON.stringify(options) });
  onAccepted?.();
  let ended = false;
  let unheard = false;
  let wake = () => {};

  const events = input[Symbol.asyncIterator]();
  const forward = async () => {
    for (;;) {
      const { done, value } = await events.next();
      if (done || ended) return;
      await guard.action('realtime_send', { req_id, data_json: JSON.stringify(value) });
      unheard = true;
      wake();
    }
  };
  // It fails only if the session has ended, which the polls report.
  forward().catch(() => {});

  try {
    for (let silent = 0; ; ) {
      signal?.throwIfAborted();
      const { data_json, has_more } = await guard.action('get_result', { req_id });
      ended = !has_more;
      silent = data_json === '' && !unheard ? silent + 1 : 0;
      unheard = false;
      if (data_json !== '') yield* JSON.parse(data_json) as Json[];
      if (ended) return;
      if (silent <= BUSY_POLLS) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, IDLE_INTERVAL);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    const wasOpen = !ended;
    ended = true;
    events.return?.().catch(() => {});
    if (wasOpen) await guard.action('cancel', { req_id }).catch(() => {});
  }
}
