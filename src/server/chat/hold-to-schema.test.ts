import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CHAT_RESULT } from '../testing/fake-engine.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const MESSAGES = [{ role: 'user', content: 'Say a number.' }];
const SCHEMA = { type: 'object', properties: { x: { const: 7 } }, required: ['x'] };
const TOOLS = [{ type: 'function', function: { name: 'f', parameters: SCHEMA } }];
const ASKED: [field: string, body: Json][] = [
  [
    'response_format',
    { response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: SCHEMA } } },
  ],
  ['response_format', { response_format: { type: 'json_object' } }],
  ['json_schema', { json_schema: SCHEMA }],
  ['tool_choice', { tools: TOOLS, tool_choice: 'required' }],
];

function serverWhoseGrammar(grammar: string): TestServer {
  const server = createTestServer();
  server.engine.onComplete = async function* ({ kind }) {
    yield kind === 'text' ? { __verbose: { generation_settings: { grammar } } } : CHAT_RESULT;
  };
  return server;
}

const send = async (server: TestServer, body: Json) => {
  const response = await server.send('/v1/chat/completions', { messages: MESSAGES, ...body });
  const json = (await response.json()) as { error?: Json };
  return { status: response.status, error: json.error, sent: server.engine.completions.map(({ body }) => body) };
};

test.each(ASKED)('%s is llama.cpp’s to keep, where it does', async (_, body) => {
  const { status, sent } = await send(serverWhoseGrammar(''), body);
  expect(status).toBe(200);
  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject(
    body.json_schema === undefined ? { response_format: {} } : { json_schema: { type: 'object' } },
  );
});

test.each(ASKED)('%s becomes a grammar, where llama.cpp would ignore a schema', async (_, body) => {
  const server = serverWhoseGrammar('root ::= "7"');
  server.engine.schemaWay = { by: 'grammar', before: 'all\n' };
  const { status, sent } = await send(server, body);
  expect(status).toBe(200);
  const [converted, chat] = sent;
  expect(converted?.json_schema).toMatchObject({ type: 'object' });
  expect(chat?.grammar).toBe('answer-after ::= "7"\nroot ::= "all\\n" answer-after\n');
  expect(chat).not.toHaveProperty('response_format');
  expect(chat).not.toHaveProperty('json_schema');
});

test.each(ASKED)('%s is refused, where an answer can’t be held to it', async (field, body) => {
  const server = serverWhoseGrammar('');
  server.engine.schemaWay = { by: 'nothing' };
  const { status, error, sent } = await send(server, body);
  expect([status, error?.param, sent]).toEqual([400, field, []]);
  expect(error?.message).toContain(`which '${field}' needs`);
});

test('a chat without a schema asks nothing of the template', async () => {
  const server = serverWhoseGrammar('');
  server.engine.schemaWay = { by: 'nothing' };
  expect((await send(server, { tools: TOOLS })).status).toBe(200);
});
