/** `GET /health`: llama-server's, and what happened to engines. */
import { json } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';

/** Exactly llama-server's as long as nothing happened. */
export function getHealth(_: Scope, { pool: { restarts } }: ServerContext): Response {
  return json({ status: 'ok', ...(restarts.length === 0 ? {} : { restarts }) });
}
