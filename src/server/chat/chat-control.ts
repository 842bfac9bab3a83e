/**
 * `POST /v1/chat/completions/control` ends the thinking of a completion under way. wllama has no way to do that: the
 * request is checked as llama-server checks it, and the answer is that nothing was done.
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
