/** llama-server's `--api-key`: who does not show the key gets no answer. */
import type { MiddlewareHandler } from 'hono';
import { invalidApiKey } from './error-response.ts';

/** Answered to anyone, as in llama-server: they tell no more than that it is there. */
const PUBLIC_PATHS: ReadonlySet<string> = new Set(['/health', '/v1/health', '/models', '/v1/models']);

const BEARER = 'Bearer ';

/** @param keys Any of which will do; none: no key is asked for. */
export function requireApiKey(keys: readonly string[]): MiddlewareHandler {
  return async (c, next) => {
    // A preflight can carry no key.
    const isOpen = keys.length === 0 || c.req.method === 'OPTIONS' || PUBLIC_PATHS.has(c.req.path);
    if (isOpen || keys.includes(shownKey(c.req.raw.headers))) return next();
    return invalidApiKey();
  };
}

function shownKey(headers: Headers): string {
  const authorization = headers.get('Authorization') ?? '';
  return authorization.startsWith(BEARER) ? authorization.slice(BEARER.length) : (headers.get('X-Api-Key') ?? '');
}
