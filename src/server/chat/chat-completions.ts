/** `POST /v1/chat/completions`, and the plan that other APIs share once their requests are converted. */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import { type CompletionPlan, complete, type Prepared } from '../generate/completions.ts';
import { OPENAI_FORMAT } from '../generate/openai-format.ts';
import { isPresent } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { mediaSupport } from '../state/capabilities.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { type ChatParameters, readChat } from './chat-params.ts';
import { holdToSchema } from './hold-to-schema.ts';
import { fromLegacy, isLegacy, toLegacy } from './legacy-functions.ts';
import { loadMedia, placeMarkers, requireTextAtEnd } from './media.ts';
import { readablePictures } from './picture.ts';
import { prepareTools } from './prepare-tools.ts';
import type { ToolUse } from './read-tools.ts';
import { readableSounds } from './sound.ts';

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
    prepare: async (loaded, signal) => {
      const prepared = await prepareChat(parameters, loaded, context, signal);
      return [legacy ? toLegacy(prepared) : prepared];
    },
  };
}

/** Decides what depends on the model: whether its template supports tools, and its media marker. */
async function prepareChat(
  { body, tools, media, withoutAlternatives }: ChatParameters,
  loaded: LoadedModel,
  context: ServerContext,
  signal: AbortSignal,
): Promise<Prepared> {
  const withTools = await prepareTools(body, tools, loaded, signal);
  const fitted = await holdToSchema(withTools, schemaField(body, tools), loaded, signal);
  const prepared = withoutAlternatives ? onlyChosen(fitted) : fitted;
  if (media.length === 0) return prepared;
  const { info } = loaded;
  requireTextAtEnd(prepared.body);
  const messages = placeMarkers(prepared.body.messages as Json[], media, info.media);
  const sounds = await readableSounds(media, await loadMedia(media, signal), info.sound.inputRate, context.decodeAudio);
  const files = await readablePictures(sounds, 'messages', context.recodePicture);
  return { ...prepared, body: { ...prepared.body, messages }, files };
}

function schemaField(body: Json, { choice }: ToolUse): string {
  if (choice === 'required') return 'tool_choice';
  return isPresent(body.response_format) ? 'response_format' : 'json_schema';
}

/** As OpenAI answers without `top_logprobs`; llama-server gives 20 alternatives, or for 0 nothing at all. */
function onlyChosen({ correct, ...prepared }: Prepared): Prepared {
  return {
    ...prepared,
    correct: async function* (results, newId) {
      for await (const result of correct?.(results, newId) ?? results) {
        const choices = (result.choices as Json[]).map((choice) => {
          const { content } = (choice.logprobs ?? {}) as { content?: Json[] };
          if (content === undefined) return choice;
          return { ...choice, logprobs: { ...(choice.logprobs as Json), content: content.map(withoutOthers) } };
        });
        yield { ...result, choices };
      }
    },
  };
}

function withoutOthers(token: Json): Json {
  return { ...token, [token.top_probs === undefined ? 'top_logprobs' : 'top_probs']: [] };
}
