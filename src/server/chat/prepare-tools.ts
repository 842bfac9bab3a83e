/** What becomes of a chat's tools once the model, and so its template, is known. */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import { keepSchema } from '../constraints/schema.ts';
import type { Prepared } from '../generate/completions.ts';
import type { Tool, ToolUse } from './read-tools.ts';
import { requireCall } from './required-tools.ts';

/**
 * Fits a request with tools to the model's template. llama.cpp applies one that supports them; otherwise they are silently
 * dropped, as in llama-server. If a call is required, we hold the output to the tools' schemas ourselves: llama.cpp lets a
 * model write what it likes before its call, until `max_tokens`.
 * @throws LlamatabError 400 if llama.cpp can't compile the schema of a tool's parameters.
 */
export async function prepareTools(
  body: Json,
  use: ToolUse,
  model: LoadedModel,
  signal: AbortSignal,
): Promise<Prepared> {
  if (use.tools.length === 0 || use.choice === 'none') return { body };
  const isRequired = use.choice === 'required';
  if (!isRequired && !mentionsTools(model.info)) return { body };
  const tools = use.tools.map((tool) => withKeptSchema(tool, use.strict.has(tool.function.name)));
  if (isRequired) return requireCall(body, { ...use, tools }, await model.showsTools(signal));
  return {
    body: { ...body, tools },
    correct: (results, newId) => withIdsOfRequest(use.parallel === false ? firstCallOnly(results) : results, newId),
  };
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

/** For some templates llama.cpp's grammar allows another call all the same. */
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

/** What llama.cpp draws where the model writes no id itself, in each process another one. */
const DRAWN_ID = /^[0-9A-Za-z]{32}$/;

/** With ids that every host draws alike: an answer that another host goes on with has one id for a call. */
async function* withIdsOfRequest(results: AsyncIterable<Json>, newId: () => string): AsyncGenerator<Json> {
  const ids: string[] = [];
  for await (const result of results) {
    const [choice] = result.choices as Json[];
    const field = choice?.delta === undefined ? 'message' : 'delta';
    const part = (choice?.[field] ?? {}) as { tool_calls?: { index?: number; id?: string }[] };
    if (part.tool_calls === undefined) {
      yield result;
      continue;
    }
    const tool_calls = part.tool_calls.map((call, position) => {
      if (call.id === undefined || !DRAWN_ID.test(call.id)) return call;
      const index = call.index ?? position;
      ids[index] ??= newId();
      return { ...call, id: ids[index] };
    });
    yield { ...result, choices: [{ ...choice, [field]: { ...part, tool_calls } }] };
  }
}

/** Whether llama.cpp may compile the schemas: a template that supports tools mentions them. */
function mentionsTools({ metadata, templateFault }: LoadedModel['info']): boolean {
  const template = metadata['tokenizer.chat_template.tool_use'] ?? metadata['tokenizer.chat_template'] ?? '';
  return templateFault === null && /\btools\b/.test(template);
}
