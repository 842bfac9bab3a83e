/** Conversations sent back, as clients have them and as they should not be: turns in any order, calls with broken arguments. */
import type { Json } from '../../engine/engine.ts';
import { draws, type Random } from './seeded-random.ts';

export type HistoryApi = 'chat' | 'responses' | 'messages';

const TEXTS = [
  'Hi',
  '',
  ' ',
  'It is 20.',
  'नमस्ते 👩🏽‍🦰',
  '\ud83e',
  '<|im_end|>',
  '{{ x }}',
  '<think>',
  '</think>\n',
  'a\0b',
];
const IDS = ['a', 'b', '', 'call_\u{1f999}'];
const NAMES = ['f', 'g', 'get weather', ''];
/** Of a call, in JSON: whole, cut off, of another type, none. */
const ARGUMENTS = [
  '{"x":1}',
  '{}',
  '',
  ' ',
  '{',
  '{"x":',
  '[1]',
  'null',
  '"x"',
  '{"x":"\ud83e"}',
  '{"x":1}}',
  "{'x':1}",
];
const VALUES = [null, 0, true, 'x', [], {}, ['x'], { x: 1 }, { type: 'text' }];

/** Without what bounds an answer. */
export function createHistoryFuzzer(random: Random): (api: HistoryApi) => Json {
  const { pick, chance, maybe, several } = draws(random);
  const text = () => pick(TEXTS);
  /** Rarely something that is never right there. */
  const or = (value: () => unknown) => (chance(0.04) ? pick(VALUES) : value());
  const tools = (tool: (name: string) => Json) => (): Json[] => several(1, 2, () => tool(pick(['f', 'g'])));
  const parameters = { type: 'object', properties: { x: { type: 'integer' } } };

  // --- chat --------------------------------------------------------------------------------------------------------

  const parts = (type: string) => or(() => several(0, 3, () => ({ type, text: or(text) })));
  const content = (type = 'text') => (chance(0.7) ? text() : parts(type));
  const call = (): Json => ({
    ...maybe(0.9, 'id', () => or(() => pick(IDS))),
    ...maybe(0.9, 'type', () => 'function'),
    ...maybe(0.97, 'function', () =>
      or(() => ({
        ...maybe(0.97, 'name', () => or(() => pick(NAMES))),
        ...maybe(0.95, 'arguments', () => or(() => pick(ARGUMENTS))),
      })),
    ),
  });
  const turns: Record<string, () => Json> = {
    system: () => ({ content: content() }),
    developer: () => ({ content: content() }),
    user: () => ({ content: content(), ...maybe(0.1, 'name', text) }),
    assistant: () => ({
      ...maybe(0.85, 'content', () => pick<() => unknown>([content, () => null, () => ''])()),
      ...maybe(0.3, 'reasoning_content', () => or(text)),
      ...maybe(0.5, 'tool_calls', () => or(() => several(0, 2, call))),
      ...maybe(0.05, 'refusal', text),
      ...maybe(0.05, 'function_call', () => ({ name: 'f', arguments: pick(ARGUMENTS) })),
    }),
    tool: () => ({
      ...maybe(0.9, 'tool_call_id', () => pick(IDS)),
      content: or(() => content()),
      ...maybe(0.2, 'name', text),
    }),
    function: () => ({ name: pick(NAMES), content: content() }),
    critic: () => ({ content: text() }),
  };
  /** Mostly as conversations go; else in any order. */
  const USUAL = ['user', 'assistant', 'tool', 'assistant', 'user', 'assistant', 'user'];
  const roles = (all: readonly string[], usual: readonly string[]): string[] => {
    const first = chance(0.4) ? ['system'] : [];
    if (chance(0.5)) return [...first, ...usual.slice(0, 1 + Math.floor(random() * usual.length))];
    return [...first, ...several(0, 6, () => pick(all))];
  };
  const chat = (): Json => ({
    messages: roles(Object.keys(turns), USUAL).map((role) => ({ role, ...turns[role]?.() })),
    ...maybe(
      0.5,
      'tools',
      tools((name) => ({ type: 'function', function: { name, parameters } })),
    ),
    ...maybe(0.3, 'tool_choice', () =>
      pick(['auto', 'none', 'required', { type: 'function', function: { name: 'f' } }]),
    ),
    ...maybe(0.1, 'parallel_tool_calls', () => chance(0.5)),
    ...maybe(0.1, 'add_generation_prompt', () => chance(0.5)),
    ...maybe(0.1, 'continue_final_message', () => pick([true, false, 'content', 'reasoning_content'])),
    ...maybe(0.1, 'chat_template_kwargs', () => ({ enable_thinking: chance(0.5) })),
    ...maybe(0.1, 'reasoning_format', () => pick(['none', 'auto', 'deepseek'])),
  });

  // --- Responses ---------------------------------------------------------------------------------------------------

  const summary = () => several(0, 2, () => ({ type: 'summary_text', text: text() }));
  const items: (() => Json)[] = [
    () => ({ role: 'user', content: content('input_text') }),
    () => ({ type: 'message', role: pick(['user', 'system', 'developer']), content: content('input_text') }),
    () => ({ type: 'message', role: 'assistant', content: content(pick(['output_text', 'refusal'])) }),
    () => ({
      type: 'reasoning',
      ...maybe(0.8, 'summary', () => or(summary)),
      ...maybe(0.3, 'content', () => or(() => [{ type: 'reasoning_text', text: text() }])),
      ...maybe(0.3, 'encrypted_content', () => pick(['', 'x', null])),
    }),
    () => ({
      type: 'function_call',
      ...maybe(0.95, 'call_id', () => pick(IDS)),
      ...maybe(0.97, 'name', () => pick(NAMES)),
      ...maybe(0.95, 'arguments', () => or(() => pick(ARGUMENTS))),
    }),
    () => ({
      type: 'function_call_output',
      ...maybe(0.95, 'call_id', () => pick(IDS)),
      ...maybe(0.95, 'output', () => or(() => content('input_text'))),
    }),
    () => ({ type: pick(['web_search_call', 'file_search_call', 'code_interpreter_call', 'mcp_call']), id: 'x' }),
    () => ({ type: pick(['item_reference', 'computer_call', 'image_generation_call', 'nothing']), id: 'x' }),
  ];
  const responses = (): Json => ({
    input: chance(0.1) ? text() : or(() => several(0, 6, () => pick(chance(0.9) ? items.slice(0, -1) : items)())),
    ...maybe(0.3, 'instructions', text),
    ...maybe(
      0.5,
      'tools',
      tools((name) => ({ type: 'function', name, parameters })),
    ),
    ...maybe(0.3, 'tool_choice', () => pick(['auto', 'none', 'required', { type: 'function', name: 'f' }])),
    ...maybe(0.05, 'previous_response_id', () => 'resp_1'),
    ...maybe(0.1, 'store', () => chance(0.5)),
  });

  // --- Messages ----------------------------------------------------------------------------------------------------

  const textBlock = (): Json => ({ type: 'text', text: or(text) });
  const blocks: Record<string, (() => Json)[]> = {
    user: [
      textBlock,
      () => ({
        type: 'tool_result',
        ...maybe(0.95, 'tool_use_id', () => pick(IDS)),
        ...maybe(0.9, 'content', () => or(() => (chance(0.5) ? text() : several(0, 2, textBlock)))),
        ...maybe(0.2, 'is_error', () => true),
      }),
    ],
    assistant: [
      textBlock,
      () => ({ type: 'thinking', thinking: or(text), signature: '' }),
      () => ({ type: 'redacted_thinking', data: 'x' }),
      () => ({
        type: 'tool_use',
        ...maybe(0.95, 'id', () => pick(IDS)),
        ...maybe(0.97, 'name', () => pick(NAMES)),
        ...maybe(0.95, 'input', () => or(() => ({ x: text() }))),
      }),
      () => ({ type: 'server_tool_use', id: 'a', name: 'web_search', input: {} }),
    ],
  };
  const messages = (): Json => ({
    messages: roles(['user', 'assistant'], ['user', 'assistant', 'user', 'assistant', 'user']).map((role) => ({
      role,
      content: chance(0.3) ? text() : or(() => several(0, 3, () => pick(blocks[role] ?? [textBlock])())),
    })),
    ...maybe(0.3, 'system', () => (chance(0.5) ? text() : several(0, 2, textBlock))),
    ...maybe(
      0.5,
      'tools',
      tools((name) => ({ name, input_schema: parameters })),
    ),
    ...maybe(0.3, 'tool_choice', () => pick([{ type: 'auto' }, { type: 'any' }, { type: 'tool', name: 'f' }])),
    ...maybe(0.2, 'thinking', () => pick([{ type: 'enabled', budget_tokens: 1024 }, { type: 'disabled' }])),
  });

  const requests: Record<HistoryApi, () => Json> = { chat, responses, messages };
  return (api) => requests[api]();
}
