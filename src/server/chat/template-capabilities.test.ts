import { expect, test } from 'vitest';
import { AGENT_TEMPLATE } from '../../../test/tiny-model/tiny-model.ts';
import recorded from '../testing/recorded-answers/services.json' with { type: 'json' };
import { templateCapabilities } from './template-capabilities.ts';

test('SmolLM2’s template, as llama.cpp itself finds', () => {
  const props = recorded.find(({ path }) => path === '/props')?.answer as {
    chat_template: string;
    chat_template_caps: object;
  };
  expect(templateCapabilities(props.chat_template)).toEqual(props.chat_template_caps);
});

test('a template with tools and thoughts', () => {
  expect(templateCapabilities(AGENT_TEMPLATE)).toEqual({
    supports_object_arguments: true,
    supports_parallel_tool_calls: true,
    supports_preserve_reasoning: true,
    supports_reasoning_effort: false,
    supports_string_content: true,
    supports_system_role: true,
    supports_tool_calls: true,
    supports_tools: true,
    supports_typed_content: false,
  });
});
