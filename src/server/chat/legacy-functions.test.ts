import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CHAT_RESULT } from '../testing/fake-engine.ts';
import { parseEvents } from '../testing/parse-events.ts';
import { createTestServer } from '../testing/test-server.ts';

const FUNCTIONS = [{ name: 'now', description: 'The time', parameters: { type: 'object', properties: {} } }];
const MESSAGES = [{ role: 'user', content: 'What time is it?' }];
const CALL = '{"name": "now", "arguments": {}}';

function serverThat(content: string) {
  const server = createTestServer();
  server.engine.onComplete = async function* ({ body }) {
    const choice = (fields: Json, finish_reason: string | null) => [{ finish_reason, index: 0, ...fields }];
    if (!body.stream) yield { ...CHAT_RESULT, choices: choice({ message: { role: 'assistant', content } }, 'stop') };
    const object = 'chat.completion.chunk';
    if (body.stream) yield { choices: choice({ delta: { content } }, null), object };
    if (body.stream) yield { choices: choice({ delta: {} }, 'stop'), object };
  };
  return server;
}

test('a call', async () => {
  const server = serverThat(CALL);
  const request = { messages: MESSAGES, functions: FUNCTIONS, function_call: { name: 'now' } };
  const { choices } = await (await server.send('/v1/chat/completions', request)).json();
  expect(choices).toEqual([
    {
      finish_reason: 'function_call',
      index: 0,
      message: { role: 'assistant', content: '', function_call: { name: 'now', arguments: '{}' }, refusal: null },
      logprobs: null,
    },
  ]);

  const streamed = await server.send('/v1/chat/completions', { ...request, stream: true });
  const events = parseEvents(await streamed.text()).slice(0, -1) as { choices: Json[] }[];
  expect(events.map(({ choices }) => choices[0])).toEqual([
    { finish_reason: null, index: 0, delta: { function_call: { name: 'now', arguments: '' } } },
    { finish_reason: null, index: 0, delta: { function_call: { arguments: '{}' } } },
    { finish_reason: 'function_call', index: 0, delta: {} },
  ]);
});

test('the conversation after it', async () => {
  const server = serverThat('Noon.');
  server.engine.metadata['tokenizer.chat_template'] = '{{ tools }}';
  const function_call = { name: 'now', arguments: '{}' };
  const messages = [
    ...MESSAGES,
    { role: 'assistant', content: null, function_call },
    { role: 'function', name: 'now', content: 'noon' },
  ];
  const response = await server.send('/v1/chat/completions', { messages, functions: FUNCTIONS, function_call: 'auto' });
  const { choices } = await response.json();
  expect(choices).toMatchObject([{ finish_reason: 'stop', message: { content: 'Noon.' } }]);
  expect(server.engine.completions[0]?.body).toMatchObject({
    messages: [
      ...MESSAGES,
      { role: 'assistant', content: null, tool_calls: [{ type: 'function', function: function_call }] },
      { role: 'tool', name: 'now', content: 'noon' },
    ],
    tools: [{ type: 'function', function: FUNCTIONS[0] }],
    tool_choice: 'auto',
    parallel_tool_calls: false,
  });
});

test('tools come first', async () => {
  const server = serverThat('Noon.');
  const tools = [{ type: 'function', function: { name: 'f' } }];
  await server.send('/v1/chat/completions', { messages: MESSAGES, functions: FUNCTIONS, tools });
  expect(server.engine.completions[0]?.body.tools).toMatchObject([{ function: { name: 'f' } }]);
});
