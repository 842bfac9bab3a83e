/** The length of a prompt, before it waits for a slot. */
import { LlamatabError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { CompletionRequest, LoadedModelInfo } from './engine.ts';

/** llama.cpp makes room for a multiple of this. */
const CONTEXT_GRANULE = 256;
/** UTF-16 units. Longer prompts hold up the others for longer than it takes to get a slot: the engine counts them. */
const MAX_COUNTED = 2 ** 20;
/** Of UTF-8, for a UTF-16 unit. A token is a byte at least. */
const MAX_BYTES = 3;

/**
 * Gives a text prompt that is too long llama.cpp's own answer. Chats are left to the engine, which alone knows their template.
 * @param tokenizer Called only for a prompt that may be too long.
 * @throws LlamatabError `exceed_context_size_error`.
 */
export async function refuseTooLong(
  { kind, body }: Pick<CompletionRequest, 'kind' | 'body'>,
  { plan, nCtxTrain }: Pick<LoadedModelInfo, 'plan' | 'nCtxTrain'>,
  tokenizer: () => Promise<Tokenizer>,
): Promise<void> {
  const { prompt } = body;
  const context = Math.min(nCtxTrain, Math.ceil(plan.contextSize / CONTEXT_GRANULE) * CONTEXT_GRANULE);
  if (kind !== 'text' || typeof prompt !== 'string') return;
  if (prompt.length * MAX_BYTES < context || prompt.length > MAX_COUNTED) return;
  // Without one, the engine will say it in its time.
  const counting = await tokenizer().catch(() => null);
  const tokens = counting?.encode(prompt, { addSpecial: true }).length ?? 0;
  if (tokens < context) return;
  throw new LlamatabError(
    'exceed_context_size_error',
    `request (${tokens} tokens) exceeds the available context size (${context} tokens), try increasing it`,
    { n_prompt_tokens: tokens, n_ctx: context },
  );
}
