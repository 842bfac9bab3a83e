/**
 * Renders a chat with the model's template, and counts the prompt's tokens. Both are the engine's work: only its
 * template engine gives the same text, tools and all.
 */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import { endedAtOnce } from '../../engine/trial.ts';
import { LlamatabError } from '../../errors.ts';
import { undecoded } from '../../tokenizer/undecoded.ts';
import { type ChatPlan, planChat } from '../chat/chat-completions.ts';
import { json } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import type { ChatUsage } from '../other-apis/chat-results.ts';
import { messagesToChat } from '../other-apis/messages-request.ts';
import { responsesToChat } from '../other-apis/responses-request.ts';
import { hasCapability } from '../state/capabilities.ts';
import type { ServerContext } from '../state/context.ts';
import { elide } from './elide.ts';

/** `POST /v1/chat/completions/input_tokens`. */
export async function countChatTokens(scope: Scope, context: ServerContext): Promise<Response> {
  return counted(scope, context, await scope.body());
}

/** `POST /v1/responses/input_tokens`. */
export async function countResponseTokens(scope: Scope, context: ServerContext): Promise<Response> {
  return counted(scope, context, responsesToChat(await scope.body()));
}

/** `POST /v1/messages/count_tokens`. */
export async function countMessageTokens(scope: Scope, context: ServerContext): Promise<Response> {
  const plan = await planChat(messagesToChat(await scope.body()), context);
  return json({ input_tokens: await countTokens(plan, scope, context) });
}

async function counted(scope: Scope, context: ServerContext, chat: Json): Promise<Response> {
  const plan = await planChat(chat, context);
  const tokens = await countTokens(plan, scope, context);
  return json({ input_tokens: tokens, object: 'response.input_tokens' });
}

/**
 * Tokens in a chat's prompt, even one that is too long. Costs the computation of one batch, which the prompt cache
 * keeps for the request itself.
 */
function countTokens(plan: ChatPlan, scope: Scope, context: ServerContext): Promise<number> {
  return context.pool.lend(plan.model, scope, (model) => countWith(model, plan, scope.signal));
}

async function countWith(model: LoadedModel, plan: ChatPlan, signal: AbortSignal): Promise<number> {
  if (onlyEmbeds(plan)) return (await model.tokenizer()).encode(chatMl(plan), { addSpecial: true }).length;
  // Media are needed, too: the engine counts their markers.
  const [{ files, body: asked }] = await plan.prepare(model, signal);
  const stream_options = { include_usage: true };
  const body = { ...asked, stream: true, stream_options, return_progress: true, cache_prompt: true };
  try {
    // The first progress report comes before the first token. Leaving the loop cancels the request.
    for await (const { prompt_progress, usage } of model.complete({ kind: 'chat', body, files, signal })) {
      const total = (prompt_progress as { total?: unknown } | undefined)?.total;
      if (typeof total === 'number') return total;
      // An empty prompt is answered at once.
      if (usage !== undefined) return (usage as ChatUsage).prompt_tokens;
    }
  } catch (error) {
    const tooLong = error instanceof LlamatabError ? error.details.n_prompt_tokens : undefined;
    if (tooLong !== undefined) return tooLong;
    throw error;
  }
  throw new LlamatabError('server_error', 'llama.cpp ended without a report of its progress.');
}

/**
 * The prompt as text. Costs the computation of the whole prompt, which the prompt cache keeps for the request itself; of one
 * that is too long for the model, that of a shorter one.
 * @throws LlamatabError `exceed_context_size_error` if it is too long even without its long texts.
 */
export async function renderPrompt(plan: ChatPlan, scope: Scope, context: ServerContext): Promise<string> {
  if (onlyEmbeds(plan)) return chatMl(plan);
  return context.pool.lend(plan.model, scope, (model) => renderWith(model, plan, scope.signal));
}

async function renderWith(model: LoadedModel, plan: ChatPlan, signal: AbortSignal): Promise<string> {
  const [{ files, body: asked }] = await plan.prepare(model, signal);
  const render = async (chat: Json) => {
    const body = endedAtOnce(chat, model.info);
    for await (const { __verbose } of model.complete({ kind: 'chat', body, files, signal })) {
      const prompt = (__verbose as Json | undefined)?.prompt;
      if (typeof prompt === 'string') return undecoded(await model.tokenizer(), prompt);
    }
    throw new LlamatabError('server_error', 'llama.cpp ended without saying what the prompt was.');
  };
  try {
    return await render({ ...asked, cache_prompt: true });
  } catch (error) {
    const isTooLong = error instanceof LlamatabError && error.type === 'exceed_context_size_error';
    const elided = isTooLong ? elide(asked) : null;
    if (elided === null) throw error;
    const prompt = elided.restore(await render({ ...elided.body, cache_prompt: false }));
    if (prompt === null) throw error;
    return prompt;
  }
}

function onlyEmbeds({ model }: ChatPlan): boolean {
  return !hasCapability(model, 'chat', 'completion');
}

/** ChatML: llama.cpp's template for models without one. A model that only embeds can't be asked for it. */
function chatMl({ parameters: { body } }: ChatPlan): string {
  const messages = (body.messages as Json[]).map(({ role, content }) => {
    const parts = Array.isArray(content)
      ? (content as { text?: string }[]).map(({ text = '' }) => text)
      : [content ?? ''];
    return `<|im_start|>${role}\n${parts.join('\n')}<|im_end|>\n`;
  });
  return messages.join('') + (body.add_generation_prompt === false ? '' : '<|im_start|>assistant\n');
}
