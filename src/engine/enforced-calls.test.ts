import { expect, test } from 'vitest';
import { LlamatabError } from '../errors.ts';
import { enforcesCalls } from './enforced-calls.ts';
import type { CompletionRequest, Json } from './engine.ts';

function modelThat(shown: Json | LlamatabError) {
  const requests: CompletionRequest[] = [];
  return {
    requests,
    async *complete(request: CompletionRequest): AsyncGenerator<Json> {
      requests.push(request);
      if (shown instanceof LlamatabError) throw shown;
      yield { __verbose: shown };
    },
  };
}
const PROMPT = 'Tools: {"name": "llamatab_trial"}';
const settings = (grammar: string, grammar_lazy = false) => ({ grammar, grammar_lazy });

test.each<[what: string, shown: Json | LlamatabError, expected: boolean]>([
  ['a grammar for the call', { prompt: PROMPT, generation_settings: settings('root ::= call') }, true],
  ['no grammar', { prompt: PROMPT, generation_settings: settings('') }, false],
  ['one that begins with a call', { prompt: PROMPT, generation_settings: settings('root ::= call', true) }, false],
  ['a tool that is not in the prompt', { prompt: 'Hi', generation_settings: settings('root ::= call') }, false],
  ['a template that raises', new LlamatabError('invalid_request_error', 'no tools, please'), false],
])('%s', async (_, shown, expected) => {
  const model = modelThat(shown);
  expect(await enforcesCalls(model)).toBe(expected);
  expect(model.requests).toMatchObject([{ kind: 'chat', body: { tool_choice: 'required', n_predict: 1 } }]);
});

test('an engine that is lost says nothing of the template', async () => {
  const lost = new LlamatabError('server_error', 'The engine crashed');
  await expect(enforcesCalls(modelThat(lost))).rejects.toBe(lost);
});
