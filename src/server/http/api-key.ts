/** llama-server's `--api-key`: requests without a valid key are refused. */
import type { MiddlewareHandler } from 'hono';
import { invalidApiKey } from './error-response.ts';

/** Open to all, as in llama-server: they reveal no more than that the server is there. */
const PUBLIC_PATHS: ReadonlySet<string> = new Set(['/health', '/v1/health', '/models', '/v1/models']);

const BEARER = 'Bearer ';

/** @param currentKeys Any of them will do. Without keys, every request is let in. */
export function requireApiKey(currentKeys: () => readonly string[]): MiddlewareHandler {
  return async (c, next) => {
    const keys = currentKeys();
    // Preflights can't carry a key.
    const isOpen = keys.length === 0 || c.req.method === 'OPTIONS' || PUBLIC_PATHS.has(c.req.path);
    if (isOpen || keys.includes(shownKey(c.req.raw.headers))) return next();
    return invalidApiKey();
  };
}

function shownKey(headers: Headers): string {
  const authorization = headers.get('Authorization') ?? '';
  return authorization.startsWith(BEARER) ? authorization.slice(BEARER.length) : (headers.get('X-Api-Key') ?? '');
}
