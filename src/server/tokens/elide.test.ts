import { describe, expect, test } from 'vitest';
import type { Json } from '../../engine/engine.ts';
import { elide } from './elide.ts';

const LONG = `It was "a long" story,\nof a llama é 🦙 that < others was. ${'word '.repeat(200)}The end.`;

const chat = (content: unknown, more: Json = {}): Json => ({ messages: [{ role: 'user', content }], ...more });

/** What a template would write of the long chat, and what is made of the short one. */
function both(body: Json, template: (body: Json) => string): [string, string | null | undefined] {
  const elided = elide(body);
  expect(JSON.stringify(elided?.body).length).toBeLessThan(JSON.stringify(body).length / 2);
  return [template(body), elided?.restore(template(elided.body))];
}

const contentOf = ({ messages }: Json) => (messages as { content: string }[])[0]?.content ?? '';
const descriptionOf = ({ tools }: Json) =>
  (tools as { function: { parameters: { properties: { x: { description: string } } } } }[])[0]?.function.parameters
    .properties.x.description;
const ascii = (text: string) =>
  text.replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

describe('a long text is put back as the template writes it', () => {
  const tools = [
    { type: 'function', function: { name: 'f', parameters: { properties: { x: { description: LONG } } } } },
  ];
  const cases: [name: string, body: Json, template: (body: Json) => string][] = [
    ['as it is', chat(LONG), (body) => `<user>${contentOf(body)}</user>`],
    ['trimmed', chat(` \n${' '.repeat(400)}${LONG}\n `), (body) => `<user>${contentOf(body).trim()}</user>`],
    ['twice', chat(LONG), (body) => `${contentOf(body)} ${contentOf(body)}`],
    [
      'in parts',
      chat([
        { type: 'text', text: LONG },
        { type: 'text', text: LONG },
      ]),
      (body) => JSON.stringify(body.messages),
    ],
    ['in JSON', chat('Hi', { tools }), (body) => `Tools: ${JSON.stringify(descriptionOf(body))}`],
    ['in ASCII', chat('Hi', { tools }), (body) => `Tools: ${ascii(JSON.stringify(descriptionOf(body)))}`],
    [
      'without its thoughts',
      chat(`<think>${LONG}</think>${LONG}`),
      (body) => contentOf(body).split('</think>').at(-1) ?? '',
    ],
    ['not at all', chat(LONG), () => 'Hello'],
  ];
  test.each(cases)('%s', (_, body, template) => {
    const [wanted, got] = both(body, template);
    expect(got).toBe(wanted);
  });
});

test('what else a template does with it is noticed', () => {
  for (const change of [
    (text: string) => text.toUpperCase(),
    (text: string) => text.replaceAll('"', "'"),
    (text: string) => text.slice(0, 40),
  ]) {
    const [, got] = both(chat(LONG), (body) => change(contentOf(body)));
    expect(got === null || got === change(LONG)).toBe(true);
  }
});

test('a chat of short texts is left alone', () => {
  expect(elide(chat('Hi'))).toBeNull();
  expect(elide({ messages: [{ role: 'assistant', content: null }] })).toBeNull();
});
