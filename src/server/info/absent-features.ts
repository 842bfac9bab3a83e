/** Routes of features that llama-server has only when it is started for them, and the engine not at all: its own answers. */
import { LlamatabError } from '../../errors.ts';
import { JSON_HEADERS } from '../http/answer.ts';
import { jsonType, readJson } from '../http/json.ts';
import { middlewareError } from '../http/middleware-error.ts';
import { json } from '../models/models-routes.ts';

/** `/tools` and `/cors-proxy`: a page has both without us. */
export const featureDisabled = (): Response => middlewareError(403, 'this feature is disabled', 'feature_disabled');

/** `POST /slots/:id`: slots are saved to files. */
export function actOnSlot(): never {
  throw new LlamatabError(
    'not_supported_error',
    'This server does not support slots action. Start it with `--slot-save-path`',
  );
}

/** `GET /lora-adapters`: models are loaded without. */
export const listAdapters = (): Response => new Response('[]', { headers: JSON_HEADERS });

/** `POST /lora-adapters`: the scale of an adapter that is not there is ignored. */
export async function scaleAdapters(request: Request): Promise<Response> {
  const body = await readJson(request);
  if (jsonType(body) !== 'array') {
    throw new LlamatabError('invalid_request_error', 'Request body must be an array');
  }
  return json({ success: true });
}
