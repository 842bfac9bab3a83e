/** `POST /v1/completions`: OpenAI's text completions, with llama-server's prompts. */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import { invalid, type LlamatabError } from '../../errors.ts';
import type { CatalogModel } from '../../models/models.ts';
import { decodeBase64, endsWithMedium } from '../chat/media.ts';
import { readablePictures } from '../chat/picture.ts';
import { type CompletionPlan, complete, type Prepared } from '../generate/completions.ts';
import { OPENAI_FORMAT } from '../generate/openai-format.ts';
import { readParameters } from '../generate/params.ts';
import { promptText } from '../generate/prompt-text.ts';
import { type MediaPrompt, readMediaPrompts, requireTokens } from '../generate/prompts.ts';
import type { Scope } from '../http/scope.ts';
import { mediaSupport } from '../state/capabilities.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { gapPrompt } from './gap-prompt.ts';
import { readEcho, readSuffix, withBestOf } from './text-options.ts';

/** OpenAI's limit of inputs for embeddings, as it names none for prompts. Each is a task of its own. */
export const MAX_PROMPTS = 2048;

export async function textCompletions(scope: Scope, context: ServerContext): Promise<Response> {
  const body = await scope.body();
  const plan = await planText(body, context);
  const echo = readEcho(plan.parameters);
  const suffix = readSuffix(body);
  const finished = withBestOf(plan, body);
  return complete(scope, context, {
    ...finished,
    prepare: async (model, signal) => {
      const prompts = await finished.prepare(model, signal);
      const tokenizer = suffix === undefined ? undefined : await model.tokenizer();
      return prompts.map((prepared) => {
        const prompt = prepared.body.prompt as string;
        const correct = echo?.(prompt);
        const gap = tokenizer && gapPrompt(tokenizer, { prefix: prompt, suffix: suffix ?? '' }, refuseSuffix);
        return { ...prepared, body: { ...prepared.body, prompt: gap ?? prompt }, ...(correct && { correct }) };
      });
    },
  });
}

function refuseSuffix(missing: string): LlamatabError {
  const message = `'suffix' is not supported by this model: ${missing}Use a model that was trained to fill gaps, or send a prompt without it.`;
  return invalid('suffix', message);
}

/**
 * Plans a request with llama-server's prompts, each of which is a task of its own.
 * @throws LlamatabError with llama-server's status and message for a faulty request.
 */
export async function planText(body: Json, context: ServerContext): Promise<CompletionPlan> {
  const model = findModel(await context.models.catalog(), body.model, context.naming);
  const prompts = readBodyPrompts(body, model);
  const parameters = readParameters(body, context.random);
  return {
    kind: 'text',
    model,
    parameters,
    perPrompt: parameters.choices,
    format: OPENAI_FORMAT,
    prepare: (loaded) => preparePrompts(prompts, parameters.body, loaded, context),
  };
}

function readBodyPrompts({ prompt }: Json, model: CatalogModel): MediaPrompt[] {
  if (prompt === undefined) throw invalid('prompt', "[json.exception.out_of_range.403] key 'prompt' not found");
  const { image, audio } = mediaSupport(model);
  const prompts = readMediaPrompts(prompt, image || audio, 'prompt', 'invalid_request_error');
  if (prompts.length > MAX_PROMPTS) {
    throw invalid(
      'prompt',
      `'prompt' holds ${prompts.length} prompts; the limit is ${MAX_PROMPTS}. Send them in several requests.`,
    );
  }
  return prompts;
}

function wrongMarkers(places: number, files: number): LlamatabError {
  return invalid(
    'prompt',
    `Failed to tokenize prompt: 'prompt_string' has ${places} media markers, but 'multimodal_data' has ${files}. Put the ` +
      '`media_marker` that GET /props tells where each belongs, or send them to /v1/chat/completions.',
  );
}

/** Prepares what depends on the model: its tokens, and its media marker, which stands in the texts as `/props` shows it. */
async function preparePrompts(
  prompts: MediaPrompt[],
  body: Json,
  loaded: LoadedModel,
  { mediaMarker, recodePicture }: ServerContext,
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
        throw invalid('prompt', 'Multimodal data provided, but model does not support multimodal requests.');
      }
      const files = media.map((base64) => decodeBase64(base64) ?? new Uint8Array());
      const marked = text.replaceAll(mediaMarker, able.marker);
      const places = marked.split(able.marker).length - 1;
      if (places !== files.length) throw wrongMarkers(places, files.length);
      if (files.length > 0 && marked.endsWith(able.marker)) throw endsWithMedium('prompt');
      return { body: { ...body, prompt: marked }, files: await readablePictures(files, 'prompt', recodePicture) };
    }),
  );
}
