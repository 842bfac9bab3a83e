/** `POST /v1/chat/completions`, and the plan that other APIs share once their requests are converted. */
import type { Json, LoadedModel, LoadedModelInfo } from '../../engine/engine.ts';
import { type CompletionPlan, complete, type Prepared } from '../generate/completions.ts';
import { OPENAI_FORMAT } from '../generate/openai-format.ts';
import type { Scope } from '../http/scope.ts';
import { mediaSupport } from '../state/capabilities.ts';
import { randomId, type ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { type ChatParameters, readChat } from './chat-params.ts';
import { fromLegacy, isLegacy, toLegacy } from './legacy-functions.ts';
import { loadMedia, placeMarkers, requireTextAtEnd } from './media.ts';
import { readablePictures } from './picture.ts';
import { prepareTools } from './prepare-tools.ts';

export async function chatCompletions(scope: Scope, context: ServerContext): Promise<Response> {
  return complete(scope, context, await planChat(await scope.body(), context));
}

/** A chat has one prompt. */
export interface ChatPlan extends CompletionPlan {
  prepare(loaded: LoadedModel, signal: AbortSignal): Promise<[Prepared]>;
}

/** @throws LlamatabError with llama-server's status and message for a faulty request. */
export async function planChat(body: Json, context: ServerContext): Promise<ChatPlan> {
  const model = findModel(await context.models.catalog(), body.model, context.naming);
  const legacy = isLegacy(body);
  const parameters = readChat(legacy ? fromLegacy(body) : body, context.random, mediaSupport(model));
  return {
    kind: 'chat',
    model,
    parameters,
    perPrompt: parameters.choices,
    format: OPENAI_FORMAT,
    prepare: async ({ info }, signal) => {
      const prepared = await prepareChat(parameters, info, context, signal);
      return [legacy ? toLegacy(prepared) : prepared];
    },
  };
}

/** Decides what depends on the model: whether its template supports tools, and its media marker. */
async function prepareChat(
  { body, tools, media }: ChatParameters,
  info: LoadedModelInfo,
  context: ServerContext,
  signal: AbortSignal,
): Promise<Prepared> {
  const prepared = prepareTools(body, tools, info.metadata, () => randomId(context));
  if (media.length === 0) return prepared;
  requireTextAtEnd(prepared.body);
  const messages = placeMarkers(prepared.body.messages as Json[], media, info.media);
  const files = await readablePictures(await loadMedia(media, signal), 'messages', context.recodePicture);
  return { ...prepared, body: { ...prepared.body, messages }, files };
}
