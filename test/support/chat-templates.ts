/** Chat templates of ten families, in short: what makes each special, in our own words. */
import { AGENT_TEMPLATE } from '../tiny-model/tiny-model.ts';

export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
export const ALTERNATE = 'turns must alternate';
export const MUST_ALTERNATE = `{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('${ALTERNATE}') }}{% endif %}`;
const NO_SYSTEM = 'there is no system role here';

export interface Family {
  template: string;
  /** The prompt of one turn, `x`. */
  plain: string;
  /** What two turns of the user's in a row are refused with. */
  twoTurns?: string;
}

export const FAMILIES: Record<string, Family> = {
  chatml: { template: CHATML, plain: '<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n' },
  'llama-2': {
    template: `{% if messages[0].role == 'system' %}{% set system = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}{% for message in messages %}${MUST_ALTERNATE}{% if message.role == 'user' %}{{ '[INST] ' + (system if loop.first else '') + message.content.strip() + ' [/INST]' }}{% else %}{{ ' ' + message.content.strip() + ' ' }}{% endif %}{% endfor %}`,
    plain: '[INST] x [/INST]',
    twoTurns: ALTERNATE,
  },
  'llama-3': {
    template: `{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}`,
    plain: '<|start_header_id|>user<|end_header_id|>\n\nx<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
  },
  'llama-3.1': {
    template: `{%- if tools is not defined %}{%- set tools = none %}{%- endif %}{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}{%- else %}{%- set system = '' %}{%- endif %}{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}{%- if tools is not none %}{{- 'Environment: ipython\\nAnswer with {"name": function name, "parameters": dictionary of arguments}.\\n' }}{%- for tool in tools %}{{- tool | tojson(indent=4) }}{%- endfor %}{%- endif %}{{- system + '<|eot_id|>' }}{%- for message in messages %}{%- if 'tool_calls' in message %}{%- set call = message.tool_calls[0].function %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' + (call.arguments | tojson) + '}<|eot_id|>' }}{%- elif message.role == 'tool' %}{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + message.content + '<|eot_id|>' }}{%- else %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}`,
    plain:
      '<|start_header_id|>system<|end_header_id|>\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nx<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
  },
  mistral: {
    template: `{% for message in messages %}${MUST_ALTERNATE}{% if message.role == 'user' %}{{ '[INST] ' + message.content + '[/INST]' }}{% elif message.role == 'assistant' %}{{ ' ' + message.content }}{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}`,
    plain: '[INST] x[/INST]',
    twoTurns: ALTERNATE,
  },
  gemma: {
    template: `{% if messages[0]['role'] == 'system' %}{{ raise_exception('${NO_SYSTEM}') }}{% endif %}{% for message in messages %}${MUST_ALTERNATE}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`,
    plain: '<start_of_turn>user\nx<end_of_turn>\n<start_of_turn>model\n',
    twoTurns: ALTERNATE,
  },
  phi: {
    template: `{% for message in messages %}{% if message.role in ['system', 'user', 'assistant'] %}{{ '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}`,
    plain: '<|user|>\nx<|end|>\n<|assistant|>\n',
  },
  'qwen-3': {
    template: AGENT_TEMPLATE,
    plain: '<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n<think>\n',
  },
  'command-r': {
    template: `{% for message in messages %}{{ '<|START_OF_TURN_TOKEN|><|' + ({'user': 'USER', 'assistant': 'CHATBOT'}[message.role] or 'SYSTEM') + '_TOKEN|>' + message.content + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}`,
    plain: '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>x<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>',
  },
  'deepseek-r1': {
    template: `{% set ns = namespace(system='') %}{% for message in messages %}{% if message.role == 'system' %}{% set ns.system = ns.system + message.content %}{% endif %}{% endfor %}{{ ns.system }}{% for message in messages %}{% if message.role == 'user' %}{{ '<｜User｜>' + message.content }}{% elif message.role == 'assistant' %}{{ '<｜Assistant｜>' + message.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}`,
    plain: '<｜User｜>x<｜Assistant｜><think>\n',
  },
  'glm-4': {
    template: `[gMASK]<sop>{% for message in messages %}{{ '<|' + message.role + '|>\\n' + message.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`,
    plain: '[gMASK]<sop><|user|>\nx<|assistant|>',
  },
};

const SHOWN_TOOLS = '{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}';

/**
 * Of families whose answers llama.cpp reads with code of its own, by the words that it knows each by: of a schema, it makes
 * nothing there.
 */
export const OWN_FORMATS: Record<'functionary-v3.2' | 'gigachat-3' | 'kimi-k2' | 'kimi-k3', string> = {
  'functionary-v3.2': `{{ 'Answer as\\n>>>\${recipient}\\n\${content}\\n' }}${SHOWN_TOOLS}{% for message in messages %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + ('>>>all\\n' if message.role == 'assistant' else '') + message.content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n>>>' }}{% endif %}`,
  'gigachat-3': `${SHOWN_TOOLS}{% for message in messages %}{{ message.role + '<|role_sep|>\\n' + message.content + '<|message_sep|>\\n\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant<|role_sep|>\\n' }}{% endif %}`,
  'kimi-k2': `{# <|tool_calls_section_begin|> <|tool_call_begin|> #}${SHOWN_TOOLS}{% for message in messages %}{{ '<|im_' + message.role + '|>' + message.role + '<|im_middle|>' + message.content + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_assistant|>assistant<|im_middle|>' }}{% endif %}`,
  'kimi-k3': `${SHOWN_TOOLS}{% for message in messages %}{{ '<|open|>message role="' + message.role + '"<|sep|>' + message.content + '<|close|>message<|sep|><|end_of_msg|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|open|>message role="assistant"<|sep|><|open|>think<|sep|>' }}{% endif %}`,
};
