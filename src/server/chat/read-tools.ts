/**
 * Reads the tools of a chat: `tools`, `tool_choice` and `parallel_tool_calls`. llama-server ignores an object in
 * `tool_choice`; here it does what OpenAI documents.
 */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import { isObject, isPresent, typeError } from '../http/json.ts';

/** Agents send a few dozen. Each becomes a branch of the output's grammar, which is compiled for each request. */
const MAX_TOOLS = 512;

const CHOICES = ['auto', 'none', 'required'] as const;
type Choice = (typeof CHOICES)[number];

export interface Tool extends Json {
  type: 'function';
  function: { name: string; description: string; parameters: Json };
}

export interface ToolUse {
  /** The tools that may be called, in llama.cpp's shape. */
  tools: Tool[];
  /** Names of tools whose arguments must match their schema, or the request is refused. */
  strict: ReadonlySet<string>;
  /** Undefined if the request does not say, which means `auto`. */
  choice: Choice | undefined;
  /** Whether an answer may have several calls. Undefined leaves it to the template. */
  parallel: boolean | undefined;
}

/** @throws LlamatabError with llama-server's status and message; 400 for a function that is not in `tools`. */
export function readToolUse(request: Json): ToolUse {
  const tools = readTools(request.tools);
  const parallel = typeof request.parallel_tool_calls === 'boolean' ? request.parallel_tool_calls : undefined;
  return { ...readChoice(request.tool_choice, tools), strict: strictNames(request.tools), parallel };
}

/** The fields for llama.cpp. */
export function toolFields({ tools, choice, parallel }: ToolUse): Json {
  return {
    ...(parallel === undefined ? {} : { parallel_tool_calls: parallel }),
    ...(tools.length === 0 ? {} : { tools }),
    ...(choice === undefined ? {} : { tool_choice: choice }),
  };
}

function strictNames(tools: unknown): Set<string> {
  const names = new Set<string>();
  for (const tool of Array.isArray(tools) ? tools : []) {
    const declared = isObject(tool) ? tool.function : undefined;
    if (isObject(declared) && declared.strict === true && typeof declared.name === 'string') names.add(declared.name);
  }
  return names;
}

function readTools(tools: unknown): Tool[] {
  if (!isPresent(tools)) return [];
  const shown = () => JSON.stringify(tools, null, 2);
  const fault = (reason: string) =>
    invalid('tools', `Failed to parse tools: ${reason}; tools = ${shown()}`, 'server_error');
  if (!Array.isArray(tools)) throw fault(`Expected 'tools' to be an array, got ${JSON.stringify(tools)}`);
  if (tools.length > MAX_TOOLS) {
    throw invalid('tools', `'tools' has ${tools.length} entries; the limit is ${MAX_TOOLS}. Send fewer.`);
  }
  return tools.map((tool: unknown) => {
    const shown = JSON.stringify(tool);
    if (!isObject(tool) || tool.type === undefined) throw fault(`Missing tool type: ${shown}`);
    if (tool.type !== 'function') throw fault(`Unsupported tool type: ${shown}`);
    const declared = tool.function;
    if (declared === undefined) throw fault(`Missing tool function: ${shown}`);
    if (!isObject(declared)) throw fault(typeError('object', declared));
    const { name, description, parameters } = declared;
    if (name === undefined) throw fault("[json.exception.out_of_range.403] key 'name' not found");
    if (typeof name !== 'string') throw fault(typeError('string', name));
    if (isPresent(description) && typeof description !== 'string') throw fault(typeError('string', description));
    if (isPresent(parameters) && !isObject(parameters)) throw fault(typeError('object', parameters));
    return {
      type: 'function' as const,
      function: {
        name,
        description: (description as string | null | undefined) ?? '',
        parameters: (parameters as Json | null | undefined) ?? {},
      },
    };
  });
}

/** llama-server treats anything but a string or an object as `auto`. */
function readChoice(value: unknown, tools: Tool[]): Pick<ToolUse, 'tools' | 'choice'> {
  if (isObject(value)) return readNamedChoice(value, tools);
  if (typeof value !== 'string') return { tools, choice: undefined };
  const choice = CHOICES.find((choice) => choice === value);
  if (choice === undefined) throw invalid('tool_choice', `Invalid tool_choice: ${value}`);
  return { tools, choice };
}

/** OpenAI's `{type: 'function', function: {name}}`, and `allowed_tools`, which narrows the tools without a new list. */
function readNamedChoice(choice: Json, tools: Tool[]): Pick<ToolUse, 'tools' | 'choice'> {
  switch (choice.type) {
    case 'function':
      return { tools: [namedTool(choice, tools)], choice: 'required' };
    case 'allowed_tools': {
      const { mode, tools: allowed } = isObject(choice.allowed_tools) ? choice.allowed_tools : choice;
      if ((mode !== 'auto' && mode !== 'required') || !Array.isArray(allowed)) {
        throw invalid(
          'tool_choice',
          `'tool_choice' of type "allowed_tools" needs 'mode' ("auto" or "required") and 'tools', an array of functions.`,
        );
      }
      const names = new Set(allowed.map((tool: unknown) => namedTool(isObject(tool) ? tool : {}, tools).function.name));
      return { tools: tools.filter((tool) => names.has(tool.function.name)), choice: mode };
    }
    default:
      throw invalid(
        'tool_choice',
        `'tool_choice' as an object must be {"type": "function", "function": {"name": …}} or of type "allowed_tools", but its type is ${JSON.stringify(choice.type) ?? 'missing'}.`,
      );
  }
}

function namedTool(choice: Json, tools: Tool[]): Tool {
  const name = isObject(choice.function) ? choice.function.name : choice.name;
  if (typeof name !== 'string') throw invalid('tool_choice', "'tool_choice' names no function: set 'function.name'.");
  const tool = tools.find((tool) => tool.function.name === name);
  if (tool !== undefined) return tool;
  const known = tools.map((tool) => tool.function.name).join(', ') || 'none';
  throw invalid('tool_choice', `'tool_choice' names the function '${name}', which 'tools' does not hold: ${known}.`);
}
