/** `POST /v1/completions`: OpenAI's text completions, with llama-server's prompts. */
import type { Json, LoadedModel } from '../engine/engine.ts';
import { LlamatabError } from '../errors.ts';
import type { CatalogModel } from '../models/models.ts';
import { type CompletionPlan, complete, type Prepared } from './completions.ts';
import type { ServerContext } from './context.ts';
import { readBody } from './json.ts';
import { decodeBase64, mediaSupport } from './media.ts';
import { findModel } from './model-names.ts';
import { readParameters } from './params.ts';
import { promptText } from './prompt-text.ts';
import { type MediaPrompt, readMediaPrompts, requireTokens } from './prompts.ts';
import { mediaMarker } from './props.ts';
import { refuseSuffix, withBestOf, withEcho } from './text-options.ts';

/** OpenAI's limit of inputs for embeddings; it names none here. Each is a task of its own. */
export const MAX_PROMPTS = 2048;

export async function textCompletions(request: Request, context: ServerContext): Promise<Response> {
  return complete(request, context, await planText(await readBody(request), context));
}

/** @throws LlamatabError with llama-server's status and message for a request that is at fault. */
export async function planText(body: Json, context: ServerContext): Promise<CompletionPlan> {
  const model = findModel(await context.models.catalog(), body.model, context.naming);
  const prompts = readBodyPrompts(body, model);
  const parameters = readParameters(body, context.random);
  refuseSuffix(body);
  const plan: CompletionPlan = {
    kind: 'text',
    model,
    parameters,
    prepare: (loaded) => preparePrompts(prompts, parameters.body, loaded, mediaMarker(context)),
  };
  return withBestOf(withEcho(plan, body), body);
}

function readBodyPrompts({ prompt }: Json, model: CatalogModel): MediaPrompt[] {
  if (prompt === undefined) throw fault("[json.exception.out_of_range.403] key 'prompt' not found");
  const { image, audio } = mediaSupport(model);
  const prompts = readMediaPrompts(prompt, image || audio, 'prompt', 'invalid_request_error');
  if (prompts.length > MAX_PROMPTS) {
    throw fault(
      `'prompt' holds ${prompts.length} prompts; the limit is ${MAX_PROMPTS}. Send them in several requests.`,
    );
  }
  return prompts;
}

function fault(message: string): LlamatabError {
  return new LlamatabError('invalid_request_error', message, { param: 'prompt' });
}

/**
 * What depends on the model: its tokens, and its marker for media.
 * @param marker Ours for media, which `/props` tells.
 */
async function preparePrompts(
  prompts: MediaPrompt[],
  body: Json,
  loaded: LoadedModel,
  marker: string,
): Promise<Prepared[]> {
  const { nVocab, media: able } = loaded.info;
  requireTokens(
    prompts.map(({ prompt }) => prompt),
    nVocab,
    'prompt',
  );
  return Promise.all(
    prompts.map(async ({ prompt, media }): Promise<Prepared> => {
      const text = await promptText(prompt, () => loaded.tokenizer(), 'prompt');
      if (media === undefined) return { body: { ...body, prompt: text } };
      if (!able.image && !able.audio) {
        throw fault('Multimodal data provided, but model does not support multimodal requests.');
      }
      const files = media.map((base64) => decodeBase64(base64) ?? new Uint8Array());
      return { body: { ...body, prompt: text.replaceAll(marker, able.marker) }, files };
    }),
  );
}
