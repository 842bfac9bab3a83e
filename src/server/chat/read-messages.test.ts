import { describe, expect, test } from 'vitest';
import { readMessages } from './read-messages.ts';

const user = { role: 'user', content: 'Hi' };
const calling = (...calls: unknown[]) => ({
  messages: [
    user,
    { role: 'assistant', tool_calls: calls.map((call) => ({ type: 'function', function: call })) },
    { role: 'tool', tool_call_id: 'a', content: '20' },
  ],
});

describe('the arguments of a call that is sent back', () => {
  test.each([
    ['none', {}, '{}'],
    ['null', { arguments: null }, '{}'],
    ['an empty text', { arguments: '' }, '{}'],
    ['spaces', { arguments: ' \n' }, '{}'],
    ['an object', { arguments: { a: 1 } }, '{"a":1}'],
    ['JSON, as the model wrote it', { arguments: '{ "a": 1 }' }, '{ "a": 1 }'],
  ])('%s', (_, given, read) => {
    const { messages } = readMessages(calling({ name: 'f', ...given }));
    expect(messages[1]?.tool_calls).toEqual([{ type: 'function', function: { name: 'f', arguments: read } }]);
  });

  test.each(['{', '{"city":"Par', `{"text":"${'a'.repeat(50)}`])('cut off (%s) name their message', (given) => {
    expect(() => readMessages(calling({ name: 'f', arguments: '{}' }, { name: 'weather', arguments: given }))).toThrow(
      `The arguments of messages[1].tool_calls[1], a call of 'weather', are not JSON, and end with: ${given.length > 40 ? `…${given.slice(-40)}` : given} (perhaps the answer was cut off at its limit of tokens). Send the call with whole arguments, or leave it out.`,
    );
  });
});
