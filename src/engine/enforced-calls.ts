/**
 * Whether llama.cpp makes a model call a tool where a call is required. It finds out how a template writes calls by rendering
 * it in many ways, and holds the answer to that by a grammar; where it finds none, because the template knows no tools, drops
 * them or fails on them, `tool_choice: "required"` is without effect. So we look for the grammar.
 */
import { LlamatabError } from '../errors.ts';
import type { CompletionRequest, Json, LoadedModel } from './engine.ts';

/** A request with a tool, to the engine itself. `verbose` shows the prompt and the settings that llama.cpp made of it. */
const TRIAL: Json = {
  messages: [{ role: 'user', content: 'Call it.' }],
  tools: [{ type: 'function', function: { name: 'llamatab_trial', description: '', parameters: { type: 'object' } } }],
  tool_choice: 'required',
  n_predict: 1,
  seed: 1,
  stream: false,
  verbose: true,
};

export async function enforcesCalls(
  { complete }: Pick<LoadedModel, 'complete'>,
  signal?: AbortSignal,
): Promise<boolean> {
  const request: CompletionRequest = { kind: 'chat', body: TRIAL, signal };
  try {
    for await (const { __verbose: shown } of complete(request)) {
      const { prompt, generation_settings } = shown as { prompt: string; generation_settings: Json };
      const { grammar, grammar_lazy } = generation_settings;
      // The grammar alone does not tell the model what the tools are.
      return (
        typeof grammar === 'string' && grammar !== '' && grammar_lazy === false && prompt.includes('llamatab_trial')
      );
    }
  } catch (error) {
    // A template that raises on tools.
    if (error instanceof LlamatabError && error.type === 'invalid_request_error') return false;
    throw error;
  }
  return false;
}
