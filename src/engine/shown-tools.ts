/**
 * Whether a model's chat template shows it the tools of a request. Its text does not tell: it may mention tools in a comment,
 * or raise on them. So llama.cpp renders it, with a tool.
 */
import { LlamatabError } from '../errors.ts';
import type { CompletionRequest, Json, LoadedModel } from './engine.ts';
import { endedAtOnce } from './trial.ts';

const NAME = 'llamatab_trial';

const TRIAL: Json = {
  messages: [{ role: 'user', content: 'Call it.' }],
  tools: [{ type: 'function', function: { name: NAME, description: '', parameters: { type: 'object' } } }],
  tool_choice: 'none',
  seed: 1,
};

export async function showsTools(
  { complete, info }: Pick<LoadedModel, 'complete' | 'info'>,
  signal?: AbortSignal,
): Promise<boolean> {
  const request: CompletionRequest = { kind: 'chat', body: endedAtOnce(TRIAL, info), signal };
  try {
    for await (const { __verbose: shown } of complete(request)) {
      const { prompt } = shown as { prompt: string };
      return prompt.includes(NAME);
    }
  } catch (error) {
    // A template that raises on tools.
    if (error instanceof LlamatabError && error.type === 'invalid_request_error') return false;
    throw error;
  }
  return false;
}
