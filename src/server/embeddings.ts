/** `POST /v1/embeddings` */
import type { EmbeddingResult, Json } from '../engine/engine.ts';
import { LlamatabError } from '../errors.ts';
import type { Catalog, CatalogModel } from '../models/models.ts';
import { answer } from './answer.ts';
import { abortWith, hasCapability, type ServerContext } from './context.ts';
import { readBody, typeError } from './json.ts';
import { findModel } from './model-names.ts';
import { DEFAULT_PING_INTERVAL, isPresent, notSupported } from './params.ts';
import { readPrompts } from './prompts.ts';

/** OpenAI's limit of inputs in one request. */
export const MAX_INPUTS = 2048;
/** llama-server's default: Euclidean length 1. */
const EUCLIDEAN = 2;

interface EmbeddingsPlan {
  inputs: string[];
  base64: boolean;
  /** llama-server's `embd_normalize`. */
  normalize: number;
  /** Values to keep of each embedding; undefined for all. */
  dimensions: number | undefined;
  /** What the answer calls the model: as the caller did. */
  modelName: unknown;
}

export async function embeddings(request: Request, context: ServerContext): Promise<Response> {
  const body = await readBody(request);
  const catalog = await context.models.catalog();
  const model = findModel(catalog, body.model, context.naming);
  requireEmbedding(model, catalog);
  const plan = readEmbeddings(body);
  const abort = abortWith(request);
  return answer(results(context, model, plan, abort.signal), {
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

function readEmbeddings(body: Json): EmbeddingsPlan {
  const { input, encoding_format: format } = body;
  if (input === undefined) {
    if (body.content !== undefined) throw notSupported('content', 'send the text as `input`.');
    throw fault('input', '"input" or "content" must be provided');
  }
  if (isPresent(format) && format !== 'float' && format !== 'base64') {
    throw fault('encoding_format', 'The format to return the embeddings in. Can be either float or base64');
  }
  const inputs = readPrompts(input, 'input', 'server_error');
  if (inputs.length > MAX_INPUTS) {
    throw fault(
      'input',
      `'input' holds ${inputs.length} texts; the limit is ${MAX_INPUTS}. Send them in several requests.`,
    );
  }
  return {
    inputs,
    base64: format === 'base64',
    normalize: readNormalize(body.embd_normalize),
    dimensions: readDimensions(body.dimensions),
    modelName: body.model,
  };
}

function fault(param: string, message: string): LlamatabError {
  return new LlamatabError('invalid_request_error', message, { param });
}

/** -1 none, 0 maximum absolute int16, 1 taxicab, 2 Euclidean, more: p-norm. */
function readNormalize(value: unknown): number {
  if (!isPresent(value)) return EUCLIDEAN;
  if (typeof value !== 'number') {
    throw new LlamatabError('server_error', typeError('number', value), { param: 'embd_normalize' });
  }
  return Math.min(2 ** 31 - 1, Math.max(-1, Math.trunc(value)));
}

/** Its upper limit is known when the model is loaded. */
function readDimensions(value: unknown): number | undefined {
  if (!isPresent(value)) return undefined;
  if (!Number.isInteger(value) || (value as number) < 1) {
    throw fault('dimensions', "'dimensions' must be an integer of at least 1");
  }
  return value as number;
}

async function* results(
  context: ServerContext,
  model: CatalogModel,
  plan: EmbeddingsPlan,
  signal: AbortSignal,
): AsyncGenerator<Json> {
  const { inputs, normalize, dimensions } = plan;
  const loaded = await context.router.acquire(model, signal);
  if (dimensions !== undefined && dimensions > loaded.info.nEmbd) {
    throw fault(
      'dimensions',
      `'dimensions' must be at most ${loaded.info.nEmbd} for '${model.id}', but is ${dimensions}`,
    );
  }
  // The engine queues what exceeds its slots. One failure fails the request, so it also ends the other inputs.
  const failed = new AbortController();
  const either = abortedByEither(signal, failed);
  const embedded = await Promise.all(inputs.map((input) => loaded.embed({ input, normalize, signal: either }))).catch(
    (error: unknown) => {
      failed.abort();
      throw error;
    },
  );
  yield embeddingsList(embedded, plan, model);
}

/** `AbortSignal.any()` is younger than some browsers that this runs in. */
function abortedByEither(signal: AbortSignal, controller: AbortController): AbortSignal {
  if (signal.aborted) controller.abort();
  else signal.addEventListener('abort', () => controller.abort(), { once: true });
  return controller.signal;
}

function embeddingsList(embedded: EmbeddingResult[], plan: EmbeddingsPlan, model: CatalogModel): Json {
  const tokens = embedded.reduce((sum, result) => sum + result.tokens, 0);
  return {
    model: plan.modelName ?? model.id,
    object: 'list',
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    data: embedded.map(({ embedding }, index) => {
      const values = shorten(embedding, plan.dimensions);
      return plan.base64
        ? { embedding: toBase64(values), index, object: 'embedding', encoding_format: 'base64' }
        : { embedding: values, index, object: 'embedding' };
    }),
  };
}

/** The first `dimensions` values, at Euclidean length 1 again, as OpenAI does it. */
function shorten(embedding: number[], dimensions: number | undefined): number[] {
  if (dimensions === undefined || dimensions === embedding.length) return embedding;
  const kept = embedding.slice(0, dimensions);
  const length = Math.hypot(...kept);
  return length === 0 ? kept : kept.map((value) => value / length);
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
