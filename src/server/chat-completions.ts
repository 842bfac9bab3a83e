/** `POST /v1/chat/completions`, and the plan that other APIs' requests share with it once they are converted. */
import type { Json } from '../engine/engine.ts';
import { readChat } from './chat-params.ts';
import { type CompletionPlan, complete } from './completions.ts';
import { randomId, type ServerContext } from './context.ts';
import { readBody } from './json.ts';
import { findModel } from './model-names.ts';
import { prepareTools } from './tools.ts';

export async function chatCompletions(request: Request, context: ServerContext): Promise<Response> {
  return complete(request, context, await planChat(await readBody(request), context));
}

/** @throws LlamatabError with llama-server's status and message for a request that is at fault. */
export async function planChat(body: Json, context: ServerContext): Promise<CompletionPlan> {
  const parameters = readChat(body, context.random);
  const model = findModel(await context.models.catalog(), body.model, context.naming);
  return {
    kind: 'chat',
    model,
    parameters,
    prepare: ({ info }) => prepareTools(parameters.body, parameters.tools, info.metadata, () => randomId(context)),
  };
}
