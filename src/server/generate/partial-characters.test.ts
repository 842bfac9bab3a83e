import { expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { CHAT_RESULT } from '../testing/fake-engine.ts';
import { createTestServer } from '../testing/test-server.ts';
import { withWholeCharacters } from './partial-characters.ts';

async function corrected(result: Json): Promise<Json | undefined> {
  const once = async function* () {
    yield result;
  };
  for await (const answer of withWholeCharacters(once())) return answer;
  return undefined;
}

test.each<[finish: string, given: string, expected: string]>([
  ['length', '日本\uFFFD', '日本'],
  ['length', '\uFFFD', ''],
  ['length', 'a\uFFFDb', 'a\uFFFDb'],
  ['stop', '日\uFFFD', '日\uFFFD'],
])('%s: %j', async (finish_reason, given, expected) => {
  const call = { id: '1', type: 'function', function: { name: 'f', arguments: given } };
  const message = { role: 'assistant', content: given, reasoning_content: given, tool_calls: [call] };
  const stop_type = finish_reason === 'length' ? 'limit' : 'eos';
  expect(
    await corrected({
      choices: [
        { finish_reason, message },
        { finish_reason, text: given },
      ],
      __verbose: { content: given, stop_type },
    }),
  ).toEqual({
    choices: [
      {
        finish_reason,
        message: {
          ...message,
          content: expected,
          reasoning_content: expected,
          tool_calls: [{ ...call, function: { name: 'f', arguments: expected } }],
        },
      },
      { finish_reason, text: expected },
    ],
    __verbose: { content: expected, stop_type },
  });
});

test('a token is what its bytes say, chosen or not', async () => {
  const tokens = (names: [string, string], list: 'top_logprobs' | 'top_probs') => [
    { id: 1, token: names[0], bytes: [0x20, 0xe6], logprob: -1, [list]: [{ id: 2, token: names[1], bytes: [0xa9] }] },
  ];
  const before: [string, string] = [' ', ''];
  const after: [string, string] = [' \uFFFD', '\uFFFD'];
  expect(
    await corrected({
      choices: [{ finish_reason: null, delta: {}, logprobs: { content: tokens(before, 'top_logprobs') } }],
      __verbose: { completion_probabilities: tokens(before, 'top_probs') },
    }),
  ).toEqual({
    choices: [{ finish_reason: null, delta: {}, logprobs: { content: tokens(after, 'top_logprobs') } }],
    __verbose: { completion_probabilities: tokens(after, 'top_probs') },
  });
});

test('what has neither is left as it is', async () => {
  const chunk = { choices: [{ finish_reason: 'length', index: 0, delta: {} }], object: 'chat.completion.chunk' };
  expect(await corrected(chunk)).toEqual(chunk);
  const usage = { choices: [], usage: {} };
  expect(await corrected(usage)).toEqual(usage);
  const none = { choices: [{ finish_reason: 'stop', text: 'a', logprobs: null }] };
  expect(await corrected(none)).toEqual(none);
});

test.each([
  ['/v1/chat/completions', { messages: [{ role: 'user', content: 'x' }] }],
  ['/v1/messages', { messages: [{ role: 'user', content: 'x' }], max_tokens: 2 }],
  ['/v1/responses', { input: 'x' }],
])('%s ends with a whole character', async (path, body) => {
  const server = createTestServer();
  server.engine.onComplete = async function* () {
    const message = { role: 'assistant', content: '日\uFFFD' };
    yield { ...CHAT_RESULT, choices: [{ finish_reason: 'length', index: 0, message }] };
  };
  const answer = await (await server.send(path, body)).text();
  expect(answer).toContain('"日"');
});
