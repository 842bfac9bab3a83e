/** `POST /v1/embeddings`, OpenAI's shape, and llama-server's own `POST /embedding`, `POST /embeddings`. */
import type { EmbeddingResult, Json, LoadedModel } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import { poolingType } from '../../gguf/gguf-names.ts';
import type { Catalog, CatalogModel } from '../../models/models.ts';
import { type MediaSupport, mediaSupport } from '../chat/media.ts';
import { DEFAULT_PING_INTERVAL, isPresent } from '../generate/params.ts';
import { requireTokens } from '../generate/prompts.ts';
import { together } from '../generate/together.ts';
import { answer, type Result } from '../http/answer.ts';
import { readBody, typeError } from '../http/json.ts';
import { abortWith, hasCapability, type ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { type Input, isMediaInput, isPrompt, mediaRequest, readInputs } from './media-input.ts';

/** OpenAI's limit of inputs in one request. */
export const MAX_INPUTS = 2048;

interface EmbeddingsPlan {
  inputs: Input[];
  /** Which field held them. */
  field: 'input' | 'content';
  /** llama-server's own shape: an array, always of floats. */
  native: boolean;
  base64: boolean;
  /** llama-server's `embd_normalize`. */
  normalize: number;
  /** Values to keep of each embedding; undefined for all. */
  dimensions: number | undefined;
  /** What the answer calls the model: as the caller did. */
  modelName: unknown;
}

/** Native where the text comes as `content`: so llama-server does it. */
export function embeddings(request: Request, context: ServerContext): Promise<Response> {
  return embed(request, context, false);
}

export function nativeEmbeddings(request: Request, context: ServerContext): Promise<Response> {
  return embed(request, context, true);
}

async function embed(request: Request, context: ServerContext, native: boolean): Promise<Response> {
  const body = await readBody(request);
  const catalog = await context.models.catalog();
  const model = findModel(catalog, body.model, context.naming);
  requireEmbedding(model, catalog);
  const plan = readEmbeddings(body, native, mediaSupport(model));
  const abort = abortWith(request);
  const embedWith = (loaded: LoadedModel) => embedInputs(loaded, model, plan, abort.signal);
  return answer(context.router.lendEach(model, abort.signal, embedWith), {
    stream: false,
    pingInterval: DEFAULT_PING_INTERVAL,
    abort,
  });
}

/** llama-server's answer, and the models that would do. */
function requireEmbedding(model: CatalogModel, catalog: Catalog): void {
  if (hasCapability(model, 'embedding')) return;
  const able = catalog.models.filter((other) => hasCapability(other, 'embedding')).map((other) => other.id);
  const remedy = able.length > 0 ? `ask one of these as \`model\`: ${able.join(', ')}` : 'nor does any of the catalog';
  throw new LlamatabError(
    'not_supported_error',
    `This server does not support embeddings. Start it with \`--embeddings\`. '${model.id}' has none, ${remedy}.`,
    { param: 'model' },
  );
}

function readEmbeddings(body: Json, native: boolean, support: MediaSupport): EmbeddingsPlan {
  const { encoding_format: format } = body;
  const field = body.input === undefined ? 'content' : 'input';
  const value = body[field];
  if (value === undefined) throw fault('input', '"input" or "content" must be provided');
  if (isPresent(format) && format !== 'float' && format !== 'base64') {
    throw fault('encoding_format', 'The format to return the embeddings in. Can be either float or base64');
  }
  const inputs = readInputs(value, field, support);
  if (inputs.length > MAX_INPUTS) {
    throw fault(
      field,
      `'${field}' holds ${inputs.length} texts; the limit is ${MAX_INPUTS}. Send them in several requests.`,
    );
  }
  if (inputs.some((input) => Array.isArray(input) && input.length === 0)) {
    throw fault(field, 'Input content cannot be empty');
  }
  return {
    inputs,
    field,
    native: native || field === 'content',
    base64: format === 'base64',
    normalize: readNormalize(body.embd_normalize),
    dimensions: readDimensions(body.dimensions),
    modelName: body.model,
  };
}

function fault(param: string, message: string): LlamatabError {
  return new LlamatabError('invalid_request_error', message, { param });
}

/** llama-server's values of `embd_normalize`; above 2 it is the p of a p-norm. */
const NONE = -1;
const MAX_ABSOLUTE = 0;
const EUCLIDEAN = 2;

function readNormalize(value: unknown): number {
  if (!isPresent(value)) return EUCLIDEAN;
  if (typeof value !== 'number') {
    throw new LlamatabError('server_error', typeError('number', value), { param: 'embd_normalize' });
  }
  return Math.min(2 ** 31 - 1, Math.max(NONE, Math.trunc(value)));
}

/** Its upper limit is known when the model is loaded. */
function readDimensions(value: unknown): number | undefined {
  if (!isPresent(value)) return undefined;
  if (!Number.isInteger(value) || (value as number) < 1) {
    throw fault('dimensions', `'dimensions' must be an integer of at least 1, but is ${JSON.stringify(value)}`);
  }
  return value as number;
}

async function* embedInputs(
  loaded: LoadedModel,
  model: CatalogModel,
  plan: EmbeddingsPlan,
  signal: AbortSignal,
): AsyncGenerator<Result> {
  const { inputs, field, normalize, dimensions, native } = plan;
  const { nEmbd, nVocab, metadata, media } = loaded.info;
  if (poolingType(metadata) === 'none') throw noPooling(native);
  if (dimensions !== undefined && dimensions > nEmbd) {
    throw fault('dimensions', `'dimensions' must be at most ${nEmbd} for '${model.id}', but is ${dimensions}`);
  }
  requireTokens(inputs.filter(isPrompt), nVocab, field);
  const embedded = await together(inputs, signal, async (input, signal) => {
    const request = isMediaInput(input) ? await mediaRequest(input, field, media, signal) : { input };
    return loaded.embed({ ...request, normalize, signal });
  });
  yield native ? embedded.map(nativeEntry) : embeddingsList(embedded, plan, model);
}

/** A vector for each token: not OpenAI's shape; and llama-server's own has them, but wllama hands on the first only. */
function noPooling(native: boolean): LlamatabError {
  return native
    ? new LlamatabError(
        'not_supported_error',
        "Pooling type 'none' is not supported here: the engine does not give a vector for each token. Use a model with pooling.",
        { param: 'model' },
      )
    : fault('model', "Pooling type 'none' is not OAI compatible. Please use a different pooling type");
}

/** One vector in an array, because without pooling llama-server has one for each token. */
function nativeEntry({ embedding }: EmbeddingResult, index: number): Json {
  return { index, embedding: [embedding] };
}

function embeddingsList(embedded: EmbeddingResult[], plan: EmbeddingsPlan, model: CatalogModel): Json {
  const tokens = embedded.reduce((sum, result) => sum + result.tokens, 0);
  return {
    model: plan.modelName ?? model.id,
    object: 'list',
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    data: embedded.map(({ embedding }, index) => {
      const values = shorten(embedding, plan);
      return plan.base64
        ? { embedding: toBase64(values), index, object: 'embedding', encoding_format: 'base64' }
        : { embedding: values, index, object: 'embedding' };
    }),
  };
}

/** The first `dimensions` values, normalized again, as OpenAI does it. */
function shorten(embedding: number[], { dimensions, normalize }: EmbeddingsPlan): number[] {
  if (dimensions === undefined || dimensions === embedding.length) return embedding;
  const kept = embedding.slice(0, dimensions);
  const norm = normOf(kept, normalize);
  return norm === 0 ? kept : kept.map((value) => value / norm);
}

/** What llama.cpp divides an embedding by. */
function normOf(values: number[], normalize: number): number {
  if (normalize === NONE) return 1;
  const absolute = values.map(Math.abs);
  // Into the range of an int16.
  if (normalize === MAX_ABSOLUTE) return absolute.reduce((a, b) => Math.max(a, b), 0) / 32760;
  if (normalize === EUCLIDEAN) return Math.hypot(...values);
  return absolute.reduce((sum, value) => sum + value ** normalize, 0) ** (1 / normalize);
}

/** Little-endian floats, whatever the machine's order. */
function toBase64(values: number[]): string {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, index) => {
    view.setFloat32(index * 4, value, true);
  });
  const bytes = new Uint8Array(view.buffer);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
