import { expect, test } from 'vitest';
import { LlamatabError } from '../errors.ts';
import type { CompletionRequest, Json, LoadedModelInfo } from './engine.ts';
import { showsTools } from './shown-tools.ts';

function modelThat(prompt: string | LlamatabError) {
  const requests: CompletionRequest[] = [];
  return {
    info: { eosToken: 2 } as LoadedModelInfo,
    requests,
    async *complete(request: CompletionRequest): AsyncGenerator<Json> {
      requests.push(request);
      if (prompt instanceof LlamatabError) throw prompt;
      yield { __verbose: { prompt } };
    },
  };
}

test.each<[what: string, prompt: string | LlamatabError, expected: boolean]>([
  ['a prompt with the tool', 'Tools: {"name": "llamatab_trial"}', true],
  ['a prompt without', 'Call it.', false],
  ['a template that raises', new LlamatabError('invalid_request_error', 'no tools, please'), false],
])('%s', async (_, prompt, expected) => {
  const model = modelThat(prompt);
  expect(await showsTools(model)).toBe(expected);
  expect(model.requests).toMatchObject([
    { kind: 'chat', body: { tools: [{ type: 'function' }], logit_bias: [[2, 10_000]] } },
  ]);
});

test('an engine that is lost says nothing of the template', async () => {
  const lost = new LlamatabError('server_error', 'The engine crashed');
  await expect(showsTools(modelThat(lost))).rejects.toBe(lost);
});
