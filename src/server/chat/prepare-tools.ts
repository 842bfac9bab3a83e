/** What becomes of a chat's tools once the model, and so its template, is known. */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import { keepSchema } from '../constraints/schema.ts';
import type { Prepared } from '../generate/completions.ts';
import type { Tool, ToolUse } from './read-tools.ts';
import { requireCall } from './required-tools.ts';

/**
 * Fits a request with tools to the model's template. llama.cpp applies one that supports them. Otherwise they are
 * silently dropped, as in llama-server; but if a call is required, the output is held to the tools' schemas.
 * @param newId Draws a call's id.
 * @throws LlamatabError 400 if llama.cpp can't compile the schema of a tool's parameters.
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
  return use.parallel === false ? { ...prepared, correct: firstCallOnly } : prepared;
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

/** llama.cpp prefers the model's own template for tools, and a template that supports tools mentions them. */
function templateKnowsTools(metadata: Record<string, string>): boolean {
  const template = metadata['tokenizer.chat_template.tool_use'] ?? metadata['tokenizer.chat_template'] ?? '';
  return /\btools\b/.test(template);
}
