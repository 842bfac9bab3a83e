/**
 * `POST /v1/audio/transcriptions`. llama-server turns it into a chat about one sound, with a prompt that suits the model; the
 * form's other fields are the parameters of completions.
 */
import type { CompletionRequest, Json, LoadedModel } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import type { Catalog, CatalogModel } from '../../models/models.ts';
import { readableSound } from '../chat/sound.ts';
import { type Parameters, readParameters } from '../generate/params.ts';
import { recomputed } from '../generate/recompute.ts';
import { answer } from '../http/answer.ts';
import { typeError } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { hasCapability, remedyFor } from '../state/capabilities.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { readForm } from './form.ts';

interface TranscriptionPlan {
  parameters: Parameters;
  sound: File;
}

export async function transcriptions(scope: Scope, context: ServerContext): Promise<Response> {
  const { fields, files } = await readForm(scope);
  const catalog = await context.models.catalog();
  const model = findModel(catalog, fields.model, context.naming);
  requireEar(model, catalog);
  const plan = readTranscription(fields, files.get('file'), context.random);
  let onAccepted = () => {};
  const accepted = new Promise<void>((resolve) => {
    onAccepted = resolve;
  });
  const { pool } = context;
  const { signal, caller } = scope;
  const transcribed = pool.lendEach(model, scope, () =>
    recomputed(pool, model, scope, (loaded, attempt) =>
      transcribe(loaded, plan, context, { ...attempt, caller, signal, onAccepted }),
    ),
  );
  const { stream, pingInterval } = plan.parameters;
  const { abort, delivered } = scope;
  return answer(transcribed, { stream, pingInterval, abort, accepted, delivered });
}

const DEAF = 'The current model does not support audio input.';

/** llama-server's answer, plus the models that would do. */
function requireEar(model: CatalogModel, catalog: Catalog): void {
  if (hasCapability(model, 'audio')) return;
  const remedy = remedyFor('audio', model, catalog);
  throw invalid('model', `${DEAF} '${model.id}' hears nothing, ${remedy}.`, 'not_supported_error');
}

/** @throws LlamatabError with llama-server's status and message. */
function readTranscription(fields: Json, sound: File | undefined, random: () => number): TranscriptionPlan {
  if (sound === undefined) throw invalid('file', 'No input file found for transcription');
  const format = text(fields, 'response_format') ?? 'json';
  if (format !== 'json') throw invalid('response_format', "Only 'json' response_format is supported for transcription");
  const [prompt, language] = [text(fields, 'prompt'), text(fields, 'language')];
  const parameters = readParameters(parsed(fields), random);
  Object.assign(parameters.body, { prompt, language });
  return { parameters, sound };
}

function text(fields: Json, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || typeof value === 'string') return value;
  throw invalid(name, `Field '${name}': ${typeError('string', value)}`);
}

/**
 * All fields of a form are texts. llama-server converts `max_tokens` and `temperature`, and refuses other numbers (`seed`,
 * `top_p`) because they are texts. Here every field that reads as a number or a boolean is one.
 */
function parsed(fields: Json): Json {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, parseScalar(name, value)]));
}

function parseScalar(name: string, value: unknown): unknown {
  if (typeof value !== 'string' || name === 'stop') return value;
  if (value === 'true' || value === 'false') return value === 'true';
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) ? Number(value) : value;
}

async function* transcribe(
  loaded: LoadedModel,
  { parameters: { body, seeded }, sound }: TranscriptionPlan,
  { decodeAudio }: ServerContext,
  asked: Pick<CompletionRequest, 'alone' | 'caller' | 'onStarted' | 'onAccepted'> & { signal: AbortSignal },
): AsyncGenerator<Json> {
  const { media, sound: ear } = loaded.info;
  if (!media.audio) {
    throw invalid(
      'model',
      `${DEAF} Where its catalog entry says it does: audio needs threads, so a cross-origin isolated page.`,
      'not_supported_error',
    );
  }
  const file = await readableSound(new Uint8Array(await sound.arrayBuffer()), ear.inputRate, decodeAudio);
  asked.signal.throwIfAborted();
  yield* loaded.complete({
    kind: 'transcription',
    body,
    files: [file],
    reproducible: seeded,
    ...asked,
  });
}
