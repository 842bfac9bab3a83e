/** How an error looks over HTTP: as an answer of its own, or at the end of one that has begun. */
import { type ErrorEnvelope, isAbort, LlamatabError } from '../../errors.ts';
import { json } from './json.ts';

/**
 * The one place where an error becomes an answer.
 * @param sender Aborts when the sender goes away. An `AbortError` by itself does not tell: IndexedDB has them too.
 */
export function errorResponse(thrown: unknown, sender?: AbortSignal): Response {
  // The sender is gone, but a route must still return an answer.
  const error =
    sender?.aborted && isAbort(thrown)
      ? new LlamatabError('unavailable_error', 'The request was aborted by its sender.')
      : LlamatabError.from(thrown);
  return json(error.toEnvelope(), error.status);
}

/** For a body, where an error comes after the status. */
export function errorEnvelope(thrown: unknown): ErrorEnvelope {
  return LlamatabError.from(thrown).toEnvelope();
}

/**
 * An error that llama-server answers with before it looks for a route. Its keys come in another order than those of a
 * `LlamatabError`, and it may lack `code`; `param` is ours, as in every error.
 */
function unroutedError(status: number, message: string, type: string, code: { code?: number } = { code: status }) {
  return json({ error: { message, type, ...code, param: null } }, status);
}

export const invalidApiKey = (): Response => unroutedError(401, 'Invalid API Key', 'authentication_error');

/** Also for a wrong method: llama-server has no 405. */
export const routeNotFound = (): Response => unroutedError(404, 'File Not Found', 'not_found_error');

/** (sic) llama-server sends no `code` here. */
export const featureDisabled = (): Response => unroutedError(403, 'this feature is disabled', 'feature_disabled', {});
