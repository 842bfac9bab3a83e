import { expect, test } from 'vitest';
import { LlamatabError } from '../errors.ts';
import type { CompletionRequest, Json, LoadedModelInfo } from './engine.ts';
import { type SchemaWay, schemaAsGrammar, schemaWay } from './schema-way.ts';

const OF_A_SCHEMA = 'root ::= "7"\n';

interface Template {
  /** Whether llama.cpp makes a grammar of a schema. */
  keepsSchemas: boolean;
  /** The message's content, or the error, for what the model was made to say. */
  read(said: string): string | LlamatabError;
}

function modelWith({ keepsSchemas, read }: Template) {
  const requests: CompletionRequest[] = [];
  return {
    info: { eosToken: 2 } as LoadedModelInfo,
    requests,
    async *complete(request: CompletionRequest): AsyncGenerator<Json> {
      requests.push(request);
      const { body, kind } = request;
      if (body.verbose === true) {
        // As llama.cpp, which takes a bare schema in any chat.
        const isKept = kind === 'text' || keepsSchemas || body.json_schema !== undefined;
        const grammar = isKept ? OF_A_SCHEMA : '';
        yield { __verbose: { generation_settings: { grammar } } };
        return;
      }
      const content = read(JSON.parse(/root ::= (".*")/.exec(body.grammar as string)?.[1] ?? '""'));
      if (content instanceof LlamatabError) throw content;
      yield { choices: [{ message: { content } }] };
    },
  };
}

const NO_MATCH = new LlamatabError(
  'server_error',
  'The model produced output that does not match the expected peg-native format',
);

test.each<[what: string, template: Template, way: SchemaWay]>([
  ['as most are', { keepsSchemas: true, read: (said) => said }, { by: 'schema' }],
  ['that takes schemas for nothing', { keepsSchemas: false, read: (said) => said }, { by: 'grammar', before: '' }],
  [
    'that wants a recipient first',
    { keepsSchemas: false, read: (said) => (said.startsWith('all\n') ? said.slice('all\n'.length) : NO_MATCH) },
    { by: 'grammar', before: 'all\n' },
  ],
  ['that takes everything for thoughts', { keepsSchemas: false, read: () => '' }, { by: 'nothing' }],
])('a template %s', async (_, template, way) => {
  expect(await schemaWay(modelWith(template))).toEqual(way);
});

test('an engine that is lost says nothing of the template', async () => {
  const lost = new LlamatabError('server_error', 'The engine crashed');
  await expect(schemaWay(modelWith({ keepsSchemas: false, read: () => lost }))).rejects.toBe(lost);
});

test('a template that raises on the trial is left to be', async () => {
  const raised = new LlamatabError('invalid_request_error', 'a system message, please');
  const model = modelWith({ keepsSchemas: false, read: (said) => said });
  const complete = async function* (): AsyncGenerator<Json> {
    yield* [];
    throw raised;
  };
  expect(await schemaWay({ ...model, complete })).toEqual({ by: 'schema' });
});

test('a schema as a grammar is llama.cpp’s own, after what comes first', async () => {
  const model = modelWith({ keepsSchemas: false, read: (said) => said });
  expect(await schemaAsGrammar(model, { const: 7 }, '')).toBe(OF_A_SCHEMA);
  expect(model.requests).toMatchObject([{ kind: 'text', body: { json_schema: { const: 7 }, verbose: true } }]);
  expect(await schemaAsGrammar(model, { const: 7 }, 'all\n')).toBe(
    'answer-after ::= "7"\n\nroot ::= "all\\n" answer-after\n',
  );
});
