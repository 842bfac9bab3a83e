/** All that an error looks like over HTTP: an answer of its own, or the end of one that has begun. */
import { type ErrorEnvelope, isAbort, LlamatabError } from '../../errors.ts';
import { json } from './json.ts';

/** The answer for whatever a route throws. */
export function errorResponse(thrown: unknown): Response {
  // The sender has gone, but there must be an answer.
  const error = isAbort(thrown)
    ? new LlamatabError('unavailable_error', 'The request was aborted by its sender.')
    : LlamatabError.from(thrown);
  return json(error.toEnvelope(), error.status);
}

/** What the body says of an error that comes after the status. */
export function errorEnvelope(thrown: unknown): ErrorEnvelope {
  return LlamatabError.from(thrown).toEnvelope();
}

/**
 * An error that llama-server answers with before it looks for a route. The order of its keys is another one, so it can't be
 * thrown as a `LlamatabError`; `param` is ours, as in every error.
 */
function unroutedError(status: number, message: string, type: string, code: { code?: number } = { code: status }) {
  return json({ error: { message, type, ...code, param: null } }, status);
}

export const invalidApiKey = (): Response => unroutedError(401, 'Invalid API Key', 'authentication_error');

/** For a wrong method, too: llama-server knows no 405. */
export const routeNotFound = (): Response => unroutedError(404, 'File Not Found', 'not_found_error');

/** (sic) llama-server's has no `code`. */
export const featureDisabled = (): Response => unroutedError(403, 'this feature is disabled', 'feature_disabled', {});
