import { expect, test } from 'vitest';
import { LlamatabError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { LoadedModelInfo } from './engine.ts';
import { refuseTooLong } from './prompt-length.ts';

const info = { plan: { contextSize: 200 }, nCtxTrain: 2048 } as LoadedModelInfo;
/** A token for each word. */
const WORDS = { encode: (text: string) => text.split(' ').map(() => 0) } as unknown as Tokenizer;
const prompt = (words: number) => Array.from({ length: words }, () => 'a').join(' ');

function refused(body: Record<string, unknown>, kind: 'text' | 'chat' = 'text', tokenizer = async () => WORDS) {
  return refuseTooLong({ kind, body }, info, tokenizer).then(
    () => null,
    (error: unknown) => LlamatabError.from(error).toEnvelope().error,
  );
}

test('a prompt that fills the room llama.cpp makes is refused in its words', async () => {
  expect(await refused({ prompt: prompt(255) })).toBeNull();
  expect(await refused({ prompt: prompt(256) })).toMatchObject({
    type: 'exceed_context_size_error',
    message: 'request (256 tokens) exceeds the available context size (256 tokens), try increasing it',
    n_prompt_tokens: 256,
    n_ctx: 256,
  });
});

test('token ids are counted as they are', async () => {
  const ids = (count: number) => Array.from({ length: count }, () => 7);
  expect(await refused({ prompt: ids(255) })).toBeNull();
  expect(await refused({ prompt: ids(256) })).toMatchObject({ n_prompt_tokens: 256 });
});

test('of a chat, what every template shows is counted; what is near the limit is left to the engine', async () => {
  const chat = (...messages: [role: string, words: number][]) =>
    refused({ messages: messages.map(([role, words]) => ({ role, content: ` ${prompt(words)} ` })) }, 'chat');
  expect(await chat(['user', 259])).toBeNull();
  expect(await chat(['system', 132], ['user', 131])).toBeNull();
  expect(await chat(['system', 132], ['user', 132])).toMatchObject({
    type: 'exceed_context_size_error',
    message: 'request (at least 256 tokens) exceeds the available context size (256 tokens), try increasing it',
  });
  // It may have been thought.
  expect(await chat(['user', 4], ['assistant', 999], ['user', 4])).toBeNull();
  const parts = { content: [{ type: 'text', text: prompt(999) }] };
  expect(await refused({ messages: [parts] }, 'chat')).toMatchObject({ n_prompt_tokens: 995 });
});

test('prompts of unknown or of no great length are left to the engine', async () => {
  expect(await refused({ prompt: ['many words', 1, 2] })).toBeNull();
  expect(await refused({ prompt: prompt(2 ** 20) })).toBeNull();
  const none = () => Promise.reject(new LlamatabError('not_supported_error', 'no tokenizer'));
  expect(await refused({ prompt: prompt(999) }, 'text', none)).toBeNull();
  const never = () => Promise.reject(new Error('asked for'));
  await refuseTooLong({ kind: 'text', body: { prompt: 'a'.repeat(85) } }, info, never);
});
