/** `POST /v1/audio/speech`: OpenAI's route, which also takes llama-server's fields for speech. */
import type { Json, LoadedModel, SpeechChunk, SpeechRequest } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import type { Catalog, CatalogModel } from '../../models/models.ts';
import { decodeBase64 } from '../chat/media.ts';
import { encodePcm16, readableSound } from '../chat/sound.ts';
import { readParameters } from '../generate/params.ts';
import { answer } from '../http/answer.ts';
import { answerBytes } from '../http/answer-bytes.ts';
import { isObject, isPresent, typeError } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { type EventFormat, encodeEvent } from '../http/sse.ts';
import { hasCapability, remedyFor } from '../state/capabilities.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';

const FORMATS = ['wav', 'pcm'] as const;
const STREAM_FORMATS = ['audio', 'sse'] as const;

interface SpeechPlan {
  body: Json;
  voice: string | undefined;
  /** A recording of the voice to imitate. */
  speaker: Uint8Array<ArrayBuffer> | undefined;
  format: (typeof FORMATS)[number];
  events: boolean;
}

export async function speech(scope: Scope, context: ServerContext): Promise<Response> {
  const body = await scope.body();
  const catalog = await context.models.catalog();
  const model = findModel(catalog, body.model, context.naming);
  requireVoice(model, catalog);
  const plan = readSpeech(body, context.random);
  const { abort } = scope;
  let onAccepted = () => {};
  const accepted = new Promise<void>((resolve) => {
    onAccepted = resolve;
  });
  const spoken = context.pool.lendEach(model, scope, (loaded) => speak(loaded, plan, context, scope, onAccepted));
  if (plan.events) {
    return answer(asEvents(spoken), { stream: true, events: SPEECH_EVENTS, abort, accepted });
  }
  return answerBytes(spoken, { headers: { 'Content-Type': `audio/${plan.format}` }, abort, accepted });
}

const MUTE = 'This model does not support audio generation';

/** llama-server's answer, plus the models that would do. */
function requireVoice(model: CatalogModel, catalog: Catalog): void {
  if (hasCapability(model, 'speech')) return;
  const remedy = remedyFor('speech', model, catalog);
  throw invalid('model', `${MUTE}. '${model.id}' is mute, ${remedy}.`, 'not_supported_error');
}

/** @throws LlamatabError naming the field. */
function readSpeech(request: Json, random: () => number): SpeechPlan {
  const { input, speed } = request;
  if (typeof input !== 'string' || input === '') throw invalid('input', '"input" must be a non-empty string');
  if (isPresent(speed) && speed !== 1) {
    throw invalid('speed', `'speed' must be 1, but is ${JSON.stringify(speed)}: models speak at a pace of their own`);
  }
  const format = choice(request, 'response_format', FORMATS);
  const voice = text('voice', isObject(request.voice) ? request.voice.id : request.voice);
  const lang = text('lang', request.lang);
  return {
    body: { ...readSampling(request, random), input, voice, lang },
    voice,
    speaker: readSpeaker(request.speaker_ref),
    format,
    events: choice(request, 'stream_format', STREAM_FORMATS) === 'sse',
  };
}

/** The first value is the default. */
function choice<T extends string>(request: Json, field: string, values: readonly [T, ...T[]]): T {
  const value = request[field];
  if (!isPresent(value)) return values[0];
  const known = values.find((other) => other === value);
  if (known !== undefined) return known;
  throw invalid(field, `'${field}' must be ${values.join(' or ')}, but is ${JSON.stringify(value)}`);
}

function text(field: string, value: unknown): string | undefined {
  if (!isPresent(value)) return undefined;
  if (typeof value !== 'string') throw invalid(field, `Field '${field}': ${typeError('string', value)}`);
  return value;
}

/** Parameters of completions that speech has too. `n_predict` limits the frames of sound. */
const SAMPLING = ['n_predict', 'max_tokens', 'top_k', 'top_p', 'repeat_penalty', 'seed'];

function readSampling(request: Json, random: () => number): Json {
  const asked = Object.fromEntries(SAMPLING.map((field) => [field, request[field]]));
  const { cache_prompt: _, ...sampling } = readParameters(asked, random).body;
  return sampling;
}

/** llama-server's field: a sound as a data URI, or in bare base64. */
function readSpeaker(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (!isPresent(value)) return undefined;
  const base64 = typeof value === 'string' ? value.replace(/^data:audio\/[^,]*;base64,/, '') : '';
  const bytes = decodeBase64(base64);
  if (bytes !== undefined && bytes.length > 0) return new Uint8Array(bytes);
  throw invalid('speaker_ref', "'speaker_ref' must be a sound in base64, or a data: URI of one");
}

async function* speak(
  loaded: LoadedModel,
  { body, voice, speaker, format }: SpeechPlan,
  { decodeAudio }: ServerContext,
  { signal, caller }: Scope,
  onAccepted: () => void,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { outputRate, inputRate, voices } = loaded.info.sound;
  if (outputRate === 0) throw invalid('model', `${MUTE}.`, 'not_supported_error');
  if (voice !== undefined && voices.length > 0 && !voices.includes(voice)) {
    throw invalid('voice', `Unknown voice "${voice}". This model speaks with: ${voices.join(', ')}`);
  }
  const request: SpeechRequest = { body, format: format === 'wav' ? 'wav' : 'samples', caller, signal, onAccepted };
  if (speaker !== undefined) request.speaker = await readableSound(speaker, inputRate || outputRate, decodeAudio);
  for await (const { audio } of loaded.speak(request)) {
    if (audio.length > 0) yield format === 'wav' ? audio : encodePcm16(samplesOf(audio));
  }
}

function samplesOf(audio: SpeechChunk['audio']): Float32Array {
  const view = new DataView(audio.buffer, audio.byteOffset, audio.byteLength);
  return Float32Array.from({ length: audio.byteLength >> 2 }, (_, i) => view.getFloat32(4 * i, true));
}

/** OpenAI ends this stream without a `[DONE]`. */
const SPEECH_EVENTS: EventFormat = { result: encodeEvent, error: encodeEvent, end: '' };

async function* asEvents(spoken: AsyncGenerator<Uint8Array<ArrayBuffer>>): AsyncGenerator<Json> {
  for await (const bytes of spoken) yield { type: 'speech.audio.delta', audio: toBase64(bytes) };
  yield { type: 'speech.audio.done' };
}

function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
