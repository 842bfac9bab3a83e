/**
 * Routes of features that llama-server has only if started with them, and the engine lacks: llama-server's answers
 * without them.
 */
import { LlamatabError } from '../../errors.ts';
import { json, jsonType } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';

/** `POST /slots/:id` would save slots to files. */
export function actOnSlot(): never {
  throw new LlamatabError(
    'not_supported_error',
    'This server does not support slots action. Start it with `--slot-save-path`',
  );
}

/** `GET /lora-adapters`: none are loaded. */
export const listAdapters = (): Response => json([]);

/** `POST /lora-adapters`: llama-server ignores adapters that are not loaded. */
export async function scaleAdapters(scope: Scope): Promise<Response> {
  const body = await scope.json();
  if (jsonType(body) !== 'array') {
    throw new LlamatabError('invalid_request_error', 'Request body must be an array');
  }
  return json({ success: true });
}
