/** An error that llama-server gives before any route: its envelope has another order of keys, and `param` is ours as ever. */
import { JSON_HEADERS } from './json.ts';
export function middlewareError(status: number, message: string, type: string): Response {
  // (sic) llama-server's answer of a disabled feature has no `code`.
  const code = type === 'feature_disabled' ? {} : { code: status };
  return new Response(JSON.stringify({ error: { message, type, ...code, param: null } }), {
    status,
    headers: JSON_HEADERS,
  });
}
