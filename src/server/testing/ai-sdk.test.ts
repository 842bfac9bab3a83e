/** The AI SDK with its own OpenAI provider, unmodified, over `fetch`: it speaks the Responses API unless told otherwise. */
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, type ModelMessage, tool } from 'ai';
import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CHAT_RESULT } from './fake-engine.ts';
import { createTestServer } from './test-server.ts';

const QUESTION = { role: 'user' as const, content: 'What is the weather in Paris?' };

/** Thinks and calls, then thinks and answers. */
function connect() {
  const server = createTestServer({ aliases: { '*': 'local' } });
  server.engine.onComplete = async function* ({ body }) {
    const answered = (body.messages as Json[]).some(({ role }) => role === 'tool');
    const said = answered
      ? { content: 'It is 20 °C.' }
      : {
          content: '',
          tool_calls: [{ id: 'a1', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } }],
        };
    const message = { role: 'assistant', reasoning_content: 'Hm.', ...said };
    yield { ...CHAT_RESULT, choices: [{ finish_reason: 'stop', index: 0, message }] };
  };
  const openai = createOpenAI({
    baseURL: 'https://site/v1',
    apiKey: 'local',
    fetch: async (url, init) => server.fetch(new Request(url, init)),
  });
  return { server, openai };
}

const weather = tool({
  description: 'The weather of a city',
  inputSchema: jsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string' } } }),
  execute: async ({ city }) => ({ city, celsius: 20 }),
});

/** A reasoning model's name decides what the provider sends back. */
test.each(['local', 'gpt-5'])('two turns with a tool, nothing stored, as %s', async (name) => {
  const { server, openai } = connect();
  const ask = async (messages: ModelMessage[]) => {
    const { text, response } = await generateText({
      model: openai(name),
      messages,
      tools: { weather },
      maxRetries: 0,
      stopWhen: ({ steps }) => steps.length === 2,
      providerOptions: { openai: { store: false } },
    });
    expect(text).toBe('It is 20 °C.');
    return [...messages, ...response.messages];
  };
  const messages = await ask([QUESTION]);
  await ask([...messages, { role: 'user', content: 'Thanks. And tomorrow?' }]);
  const last = server.engine.completions.at(-1)?.body.messages as Json[];
  expect(last.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant', 'user']);
  expect(last[1]?.tool_calls).toEqual([
    { id: 'call_a1', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } },
  ]);
  expect(last[2]?.content).toBe('{"city":"Paris","celsius":20}');
});

test('a turn that refers to what OpenAI would have stored says how to ask', async () => {
  const { openai } = connect();
  const asked = { model: openai('gpt-5'), maxRetries: 0, tools: { weather } };
  const { response } = await generateText({ ...asked, messages: [QUESTION] });
  const again = generateText({ ...asked, messages: [QUESTION, ...response.messages, QUESTION] });
  await expect(again).rejects.toThrow(/this server stores none\. Send the items themselves.*store: false/);
});
