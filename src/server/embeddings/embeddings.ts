/** `POST /v1/embeddings` in OpenAI's format, and `POST /embedding` and `POST /embeddings` in llama-server's own. */
import type { EmbeddingResult, Json, LoadedModel } from '../../engine/engine.ts';
import { invalid, type LlamatabError } from '../../errors.ts';
import { poolingType } from '../../gguf/names.ts';
import type { Catalog, CatalogModel } from '../../models/models.ts';
import { requireTokens } from '../generate/prompts.ts';
import { together } from '../generate/together.ts';
import { answer, type Result } from '../http/answer.ts';
import { isPresent, typeError } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { hasCapability, type MediaSupport, mediaSupport, remedyFor } from '../state/capabilities.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { type Input, isMediaInput, isPrompt, mediaRequest, readInputs } from './media-input.ts';
import { nameTooLong } from './too-long.ts';

/** OpenAI's limit of inputs in one request. */
const MAX_INPUTS = 2048;

interface EmbeddingsPlan {
  inputs: Input[];
  /** The field that they came in. */
  field: 'input' | 'content';
  /** llama-server's own format: an array, always of floats. */
  native: boolean;
  base64: boolean;
  /** llama-server's `embd_normalize`. */
  normalize: number;
  /** Values to keep of each embedding; undefined for all. */
  dimensions: number | undefined;
  /** The model's name in the answer: the caller's. */
  modelName: unknown;
}

/** As in llama-server, texts in `content` get an answer in its own format. */
export function embeddings(scope: Scope, context: ServerContext): Promise<Response> {
  return embed(scope, context, false);
}

export function nativeEmbeddings(scope: Scope, context: ServerContext): Promise<Response> {
  return embed(scope, context, true);
}

async function embed(scope: Scope, context: ServerContext, native: boolean): Promise<Response> {
  const body = await scope.body();
  const catalog = await context.models.catalog();
  const model = findModel(catalog, body.model, context.naming);
  requireEmbedding(model, catalog);
  const plan = readEmbeddings(body, native, mediaSupport(model));
  const embedWith = (loaded: LoadedModel) => embedInputs(loaded, model, plan, scope);
  return answer(context.pool.lendEach(model, scope, embedWith), { abort: scope.abort });
}

/** llama-server's answer, plus the models that would do. */
function requireEmbedding(model: CatalogModel, catalog: Catalog): void {
  if (hasCapability(model, 'embedding')) return;
  throw invalid(
    'model',
    `This server does not support embeddings. Start it with \`--embeddings\`. '${model.id}' has none, ${remedyFor('embedding', model, catalog)}.`,
    'not_supported_error',
  );
}

function readEmbeddings(body: Json, native: boolean, support: MediaSupport): EmbeddingsPlan {
  const { encoding_format: format } = body;
  const field = body.input === undefined ? 'content' : 'input';
  const value = body[field];
  if (value === undefined) throw invalid('input', '"input" or "content" must be provided');
  if (isPresent(format) && format !== 'float' && format !== 'base64') {
    throw invalid('encoding_format', 'The format to return the embeddings in. Can be either float or base64');
  }
  const inputs = readInputs(value, field, support);
  if (inputs.length > MAX_INPUTS) {
    throw invalid(
      field,
      `'${field}' holds ${inputs.length} texts; the limit is ${MAX_INPUTS}. Send them in several requests.`,
    );
  }
  if (inputs.some((input) => Array.isArray(input) && input.length === 0)) {
    throw invalid(field, 'Input content cannot be empty');
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

/** llama-server's values of `embd_normalize`; above 2, it is the p of a p-norm. */
const NONE = -1;
const MAX_ABSOLUTE = 0;
const EUCLIDEAN = 2;

function readNormalize(value: unknown): number {
  if (!isPresent(value)) return EUCLIDEAN;
  if (typeof value !== 'number') {
    throw invalid('embd_normalize', typeError('number', value), 'server_error');
  }
  return Math.min(2 ** 31 - 1, Math.max(NONE, Math.trunc(value)));
}

/** The upper limit is known only once the model is loaded. */
function readDimensions(value: unknown): number | undefined {
  if (!isPresent(value)) return undefined;
  if (!Number.isInteger(value) || (value as number) < 1) {
    throw invalid('dimensions', `'dimensions' must be an integer of at least 1, but is ${JSON.stringify(value)}`);
  }
  return value as number;
}

async function* embedInputs(
  loaded: LoadedModel,
  model: CatalogModel,
  plan: EmbeddingsPlan,
  { signal, caller }: Scope,
): AsyncGenerator<Result> {
  const { inputs, field, normalize, dimensions, native } = plan;
  const { nEmbd, nVocab, metadata, media } = loaded.info;
  if (poolingType(metadata) === 'none') throw noPooling(native);
  if (dimensions !== undefined && dimensions > nEmbd) {
    throw invalid('dimensions', `'dimensions' must be at most ${nEmbd} for '${model.id}', but is ${dimensions}`);
  }
  requireTokens(inputs.filter(isPrompt), nVocab, field);
  const embedded = await together(inputs, signal, async (input, signal, index) => {
    const request = isMediaInput(input) ? await mediaRequest(input, field, media, signal) : { input };
    return nameTooLong(loaded.embed({ ...request, normalize, caller, signal }), field, index, inputs.length);
  });
  yield native ? embedded.map(nativeEntry) : embeddingsList(embedded, plan, model);
}

/**
 * OpenAI's format has no room for a vector for each token. llama-server's own has, but wllama returns only the first.
 */
function noPooling(native: boolean): LlamatabError {
  return native
    ? invalid(
        'model',
        "Pooling type 'none' is not supported here: the engine does not give a vector for each token. Use a model with pooling.",
        'not_supported_error',
      )
    : invalid('model', "Pooling type 'none' is not OAI compatible. Please use a different pooling type");
}

/** An array, because without pooling llama-server returns a vector for each token. */
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

/** The first `dimensions` values, normalized anew, as OpenAI does. */
function shorten(embedding: number[], { dimensions, normalize }: EmbeddingsPlan): number[] {
  if (dimensions === undefined || dimensions === embedding.length) return embedding;
  const kept = embedding.slice(0, dimensions);
  const norm = normOf(kept, normalize);
  return norm === 0 ? kept : kept.map((value) => value / norm);
}

/** The number that llama.cpp divides an embedding by. */
function normOf(values: number[], normalize: number): number {
  if (normalize === NONE) return 1;
  const absolute = values.map(Math.abs);
  // To fit an int16.
  if (normalize === MAX_ABSOLUTE) return absolute.reduce((a, b) => Math.max(a, b), 0) / 32760;
  if (normalize === EUCLIDEAN) return Math.hypot(...values);
  return absolute.reduce((sum, value) => sum + value ** normalize, 0) ** (1 / normalize);
}

/** Little-endian floats, whatever the machine's byte order. */
function toBase64(values: number[]): string {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, index) => {
    view.setFloat32(index * 4, value, true);
  });
  const bytes = new Uint8Array(view.buffer);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
