/** What chat adds to completions, on the real engine: roles, prefill, thoughts, formats, log probabilities. */

import type { Page } from '@playwright/test';
import { type Answer, expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { tiny: {}, agent: { agent: true, endBias: 0 } });
  await serveIn(page, site);
});

const ask = (page: Page, body: object): Promise<Answer> =>
  fetchIn(page, '/v1/chat/completions', { seed: 1, max_tokens: 8, verbose: true, ...body });

/** The prompt that llama.cpp made of it. */
async function promptOf(page: Page, body: object): Promise<string> {
  const { status, json, text } = await ask(page, body);
  if (status !== 200) throw new Error(text);
  return json.__verbose.prompt;
}

const turn = (role: string, text: string) => `<|im_start|>${role}\n${text}<|im_end|>\n`;

test('every role, content as a string or in parts', async ({ page }) => {
  const messages = [
    { role: 'system', content: 'S' },
    { role: 'developer', content: 'D' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'U1' },
        { type: 'text', text: 'U2' },
      ],
    },
    { role: 'assistant', content: 'A' },
    { role: 'tool', tool_call_id: '1', content: 'T' },
    { role: 'user', content: 'U3' },
  ];
  const prompt = await promptOf(page, { messages });
  expect(prompt).toContain(turn('system', 'S'));
  expect(prompt).toMatch(/U1\n?U2/);
  expect(prompt).toContain(turn('assistant', 'A') + turn('tool', 'T') + turn('user', 'U3'));
  expect(prompt.endsWith('<|im_start|>assistant\n')).toBe(true);
});

test('how a prompt ends: prefill, continue_final_message, add_generation_prompt', async ({ page }) => {
  const messages = [...user('hi'), { role: 'assistant', content: 'Once' }];
  const prefilled = await ask(page, { messages });
  expect(prefilled.json.__verbose.prompt).toBe(`${turn('user', 'hi')}<|im_start|>assistant\nOnce`);
  expect(prefilled.json.choices[0].message.content).toMatch(/^Once.{8}$/);
  const asked = await ask(page, { messages, continue_final_message: true, add_generation_prompt: false });
  expect(asked.json.choices).toEqual(prefilled.json.choices);
  expect(await promptOf(page, { messages: user('hi'), add_generation_prompt: false })).toBe(turn('user', 'hi'));
});

test('thoughts: apart, in the text, bounded, none', async ({ page }) => {
  const request = { model: 'agent', messages: user('hi'), max_tokens: 400 };
  const { json } = await ask(page, request);
  const { reasoning_content, content } = json.choices[0].message;
  expect(reasoning_content.length).toBeGreaterThan(0);
  expect(content).not.toContain(reasoning_content);
  for (const format of ['deepseek', 'auto', 'deepseek-legacy']) {
    const { json: same } = await ask(page, { ...request, reasoning_format: format });
    expect(same.choices[0].message.reasoning_content, format).toBe(reasoning_content);
  }
  const inText = (await ask(page, { ...request, reasoning_format: 'none' })).json.choices[0].message;
  expect(inText).not.toHaveProperty('reasoning_content');
  expect(inText.content).toContain(`${reasoning_content}</think>`);

  for (const budget of [{ thinking_budget_tokens: 4 }, { reasoning_budget_tokens: 4 }]) {
    const { json: brief } = await ask(page, { ...request, ...budget });
    // The template's own line after the tag is the first of the four.
    expect(brief.choices[0].message.reasoning_content).toBe(reasoning_content.slice(0, 3));
  }
  const budget = { reasoning_budget_tokens: 4, reasoning_budget_message: ' Enough.' };
  const told = await ask(page, { ...request, ...budget });
  expect(told.json.choices[0].message.reasoning_content).toBe(`${reasoning_content.slice(0, 3)} Enough.`);

  for (const none of [{ reasoning_effort: 'none' }, { chat_template_kwargs: { enable_thinking: false } }]) {
    const { json: plain } = await ask(page, { ...request, ...none });
    expect(plain.choices[0].message).not.toHaveProperty('reasoning_content');
    expect(plain.__verbose.prompt).toContain('<think>\n\n</think>');
  }
  const wrong = await ask(page, { ...request, chat_template_kwargs: { enable_thinking: 'yes' } });
  expect(wrong.json.error.message).toBe('invalid type for "enable_thinking" (expected boolean, got string)');
});

test('thoughts in a stream come first, and by themselves', async ({ page }) => {
  const request = { model: 'agent', messages: user('hi'), max_tokens: 400 };
  const { json } = await ask(page, request);
  const { text } = await ask(page, { ...request, stream: true });
  const deltas = text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice(6)).choices[0].delta);
  const joined = (field: string) => deltas.map((delta) => delta[field] ?? '').join('');
  expect(joined('reasoning_content')).toBe(json.choices[0].message.reasoning_content);
  expect(joined('content')).toBe(json.choices[0].message.content);
  const kinds = deltas.slice(1, -1).map((delta) => Object.keys(delta).join());
  expect(kinds).toEqual([...kinds].sort().reverse());
});

test('response_format: text, any JSON, JSON of a schema', async ({ page }) => {
  const request = { messages: user('hi'), max_tokens: 100 };
  const textOf = async (response_format: object) =>
    (await ask(page, { ...request, response_format })).json.choices[0].message.content;
  const plain = (await ask(page, request)).json.choices[0].message.content;
  expect(await textOf({ type: 'text' })).toBe(plain);
  const schema = { enum: ['yes', 'no'] };
  expect(['yes', 'no']).toContain(JSON.parse(await textOf({ type: 'json_object', schema })));
  const json_schema = { name: 'x', strict: true, schema };
  expect(['yes', 'no']).toContain(JSON.parse(await textOf({ type: 'json_schema', json_schema })));
  expect(await textOf({ type: 'json_object' })).toMatch(/^\s*[{["\d\-tfn]/);
});

test('log probabilities of the text, whole and streamed', async ({ page }) => {
  const request = { messages: user('hi'), logprobs: true, top_logprobs: 2 };
  const { json } = await ask(page, request);
  const { logprobs, message } = json.choices[0];
  expect(logprobs.refusal).toBeNull();
  expect(logprobs.content).toHaveLength(8);
  expect(logprobs.content.map(({ token }: { token: string }) => token).join('')).toBe(message.content);
  for (const { top_logprobs } of logprobs.content) expect(top_logprobs).toHaveLength(2);
  const { text } = await ask(page, { ...request, stream: true });
  const streamed = text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .flatMap((event) => JSON.parse(event.slice(6)).choices[0].logprobs?.content ?? []);
  expect(streamed).toEqual(logprobs.content);
});
