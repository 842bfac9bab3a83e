/**
 * The tools of a chat: `tools`, `tool_choice` and `parallel_tool_calls`, and what becomes of them once the model, and so its
 * chat template, is known. Of an object in `tool_choice` llama-server takes no notice; here it does what OpenAI documents.
 */
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { keepSchema } from '../constraints/schema.ts';
import type { Prepared } from '../generate/completions.ts';
import { isPresent } from '../generate/params.ts';
import { isObject, typeError } from '../http/json.ts';
import { requireCall } from './tools-required.ts';

/** Agents send a few dozen. Each is a branch of the grammar that the output is held to, compiled for each request. */
const MAX_TOOLS = 512;

const CHOICES = ['auto', 'none', 'required'] as const;
type Choice = (typeof CHOICES)[number];

export interface Tool extends Json {
  type: 'function';
  function: { name: string; description: string; parameters: Json };
}

export interface ToolUse {
  /** Those that may be called, as llama.cpp takes them. */
  tools: Tool[];
  /** Names of those whose arguments must match their schema, or the request be refused. */
  strict: ReadonlySet<string>;
  /** Undefined where the request leaves it open, which is `auto`. */
  choice: Choice | undefined;
  /** Several calls in one answer. Undefined leaves it to the template. */
  parallel: boolean | undefined;
}

/** @throws LlamatabError with llama-server's status and message; 400 for a function that `tools` does not hold. */
export function readToolUse(request: Json): ToolUse {
  const tools = readTools(request.tools);
  const parallel = typeof request.parallel_tool_calls === 'boolean' ? request.parallel_tool_calls : undefined;
  return { ...readChoice(request.tool_choice, tools), strict: strictNames(request.tools), parallel };
}

/** What goes to llama.cpp for it. */
export function toolFields({ tools, choice, parallel }: ToolUse): Json {
  return {
    ...(parallel === undefined ? {} : { parallel_tool_calls: parallel }),
    ...(tools.length === 0 ? {} : { tools }),
    ...(choice === undefined ? {} : { tool_choice: choice }),
  };
}

/**
 * Fits a request with tools to the model's template. One that knows tools is llama.cpp's to apply. One that does not drops
 * them without a word, as llama-server does; but where a call is required, the output is held to the tools' schemas.
 * @param newId Draws a call's id.
 * @throws LlamatabError 400 where a tool's parameters are no schema that llama.cpp can compile.
 */
export function prepareTools(
  body: Json,
  use: ToolUse,
  metadata: Record<string, string>,
  newId: () => string,
): Prepared {
  if (use.tools.length === 0 || use.choice === 'none') return { body };
  const known = templateKnowsTools(metadata);
  if (!known && use.choice !== 'required') return { body };
  const tools = use.tools.map((tool) => withKeptSchema(tool, use.strict.has(tool.function.name)));
  if (!known) return requireCall(body, { ...use, tools }, newId);
  const prepared: Prepared = { body: { ...body, tools } };
  return use.parallel === false ? { ...prepared, translate: firstCallOnly } : prepared;
}

function withKeptSchema(tool: Tool, strict: boolean): Tool {
  const { name, parameters } = tool.function;
  const kept = keepSchema(parameters, { strict, tool: true }, (fault) =>
    invalid(
      'tools',
      `Unable to generate parser for this template. Automatic parser generation failed: ${fault} (in the parameters of '${name}')`,
    ),
  );
  return kept === parameters ? tool : { ...tool, function: { ...tool.function, parameters: kept } };
}

/** llama.cpp's grammars of some templates go on with another call all the same. */
async function* firstCallOnly(results: AsyncIterable<Json>): AsyncGenerator<Json> {
  for await (const result of results) {
    const [choice] = result.choices as Json[];
    const part = (choice?.delta ?? choice?.message ?? {}) as { tool_calls?: { index?: number }[] };
    if (choice === undefined || part.tool_calls === undefined) {
      yield result;
      continue;
    }
    const tool_calls = part.tool_calls.filter(({ index }, position) => (index ?? position) === 0);
    if (choice.message !== undefined) yield { ...result, choices: [{ ...choice, message: { ...part, tool_calls } }] };
    else if (tool_calls.length > 0) yield result;
  }
}

/** llama.cpp prefers a template of the model's that is made for tools, and a template that knows them names them. */
export function templateKnowsTools(metadata: Record<string, string>): boolean {
  const template = metadata['tokenizer.chat_template.tool_use'] ?? metadata['tokenizer.chat_template'] ?? '';
  return /\btools\b/.test(template);
}

function invalid(param: string, message: string): LlamatabError {
  return new LlamatabError('invalid_request_error', message, { param });
}

function readTools(tools: unknown): Tool[] {
  if (!isPresent(tools)) return [];
  const shown = () => JSON.stringify(tools, null, 2);
  const fault = (reason: string) =>
    new LlamatabError('server_error', `Failed to parse tools: ${reason}; tools = ${shown()}`, { param: 'tools' });
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

function strictNames(tools: unknown): Set<string> {
  const names = new Set<string>();
  for (const tool of Array.isArray(tools) ? tools : []) {
    const declared = isObject(tool) ? tool.function : undefined;
    if (isObject(declared) && declared.strict === true && typeof declared.name === 'string') names.add(declared.name);
  }
  return names;
}

/** What is neither a string nor an object counts as `auto` in llama-server. */
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
