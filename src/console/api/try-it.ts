/** Sends one request and tells what comes, as it comes. */

export interface Outcome {
  /** `sending` until the first byte, then `receiving`; at the end `done`, `stopped`, or `failed` with `problem`. */
  state: 'sending' | 'receiving' | 'done' | 'stopped' | 'failed';
  status?: number;
  headers: readonly (readonly [name: string, value: string])[];
  /** Milliseconds to the status, and to the end so far. */
  answeredAfter?: number;
  took?: number;
  bytes: number;
  /** What came, if it is text: at most `MAX_TEXT` characters. */
  text: string;
  /** Whether `text` is not all of it. */
  cut: boolean;
  /** What came, if it is a sound. */
  sound?: Blob;
  problem?: string;
}

/** Characters that are shown; more would make the page slow, and nobody reads them. */
const MAX_TEXT = 200_000;

/** @param onChange with each change, at most once for each chunk */
export async function tryIt(
  send: () => Promise<Response>,
  onChange: (outcome: Outcome) => void,
  signal: AbortSignal,
  now: () => number = () => performance.now(),
): Promise<void> {
  const sent = now();
  let outcome: Outcome = { state: 'sending', headers: [], bytes: 0, text: '', cut: false };
  const change = (changed: Partial<Outcome>) => {
    outcome = { ...outcome, ...changed, took: now() - sent };
    onChange(outcome);
  };
  change({});
  try {
    const response = await send();
    const type = response.headers.get('Content-Type') ?? '';
    change({ status: response.status, headers: [...response.headers], answeredAfter: now() - sent });
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    const decoder = new TextDecoder();
    const isText = /^text\/|json/.test(type);
    const isSound = type.startsWith('audio/');
    const reader = response.body?.getReader();
    // A body that comes by way of a service worker, and waits for more, does not hear of it.
    signal.addEventListener('abort', () => void reader?.cancel().catch(() => {}));
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) break;
      if (isSound) chunks.push(value);
      const text = isText && !outcome.cut ? outcome.text + decoder.decode(value, { stream: true }) : outcome.text;
      change({
        state: 'receiving',
        bytes: outcome.bytes + value.length,
        text: text.slice(0, MAX_TEXT),
        cut: outcome.cut || text.length > MAX_TEXT,
      });
    }
    if (signal.aborted) change({ state: 'stopped' });
    else change({ state: 'done', ...(isSound ? { sound: new Blob(chunks, { type }) } : {}) });
  } catch (error) {
    if (signal.aborted) change({ state: 'stopped' });
    else change({ state: 'failed', problem: error instanceof Error ? error.message : String(error) });
  }
}
