/**
 * `POST /v1/chat/completions/control` ends the thinking of a completion under way. The engine's interface in the browser has
 * no way to reach into one: the request is checked as llama-server checks it, and answered that nothing was done.
 */
import { invalid } from '../../errors.ts';
import { json } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';

const NOT_HERE =
  'The engine cannot end the thinking of a completion under way. Give a budget when asking: reasoning_budget_tokens.';

export async function controlChat(scope: Scope): Promise<Response> {
  const { id, action } = await scope.body();
  if (typeof id !== 'string' || id === '') throw invalid('id', 'missing completion id');
  if (action !== 'reasoning_end') throw invalid('action', 'unknown control action');
  return json({ success: false, message: NOT_HERE });
}
