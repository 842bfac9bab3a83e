/**
 * `?autoload=false`, which any request may say: "answer only if the model is loaded". It goes with the request's signal, which
 * is what comes along everywhere.
 */
const forbidden = new WeakSet<AbortSignal>();

/** Reads the query, for `signal` to carry. */
export function readAutoload({ url }: Request, signal: AbortSignal): void {
  const value = new URL(url).searchParams.get('autoload');
  // As in llama-server: anything but these two is a no.
  if (value !== null && value !== '' && value !== 'true' && value !== '1') forbidden.add(signal);
}

/** Whether a model may be loaded for the request that `signal` is of. */
export function mayAutoload(signal: AbortSignal): boolean {
  return !forbidden.has(signal);
}
