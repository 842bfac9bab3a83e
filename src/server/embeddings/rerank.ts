/**
 * `POST /rerank` and its other names: scores how well documents answer a query. In Jina's format, or in TEI's if the
 * request has `texts`.
 */
import type { Json, LoadedModel, RerankResult } from '../../engine/engine.ts';
import { invalid, type LlamatabError } from '../../errors.ts';
import { poolingType } from '../../gguf/names.ts';
import type { Catalog, CatalogModel } from '../../models/models.ts';
import { together } from '../generate/together.ts';
import { answer, type Result } from '../http/answer.ts';
import { isPresent } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { hasCapability, remedyFor } from '../state/capabilities.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { nameTooLong } from './too-long.ts';

/** Each is a task of its own: as many as `/v1/embeddings` takes. */
const MAX_DOCUMENTS = 2048;

interface RerankPlan {
  query: string;
  documents: string[];
  /** Results to return, the best first. */
  top: number;
  /** Text Embeddings Inference's format instead of Jina's. */
  tei: boolean;
  /** Whether each result has its document; TEI only. */
  returnText: boolean;
  /** The model's name in the answer: the caller's. */
  modelName: unknown;
}

export async function rerank(scope: Scope, context: ServerContext): Promise<Response> {
  const body = await scope.body();
  const catalog = await context.models.catalog();
  const model = findModel(catalog, body.model, context.naming);
  if (!hasCapability(model, 'rerank')) throw notSupported(model, catalog);
  const plan = readRerank(body);
  const rankWith = (loaded: LoadedModel) => rankDocuments(loaded, context, model, plan, scope);
  return answer(context.pool.lendEach(model, scope, rankWith), { abort: scope.abort });
}

/** llama-server's answer, plus the models that would do. */
function notSupported(model: CatalogModel, catalog: Catalog): LlamatabError {
  return invalid(
    'model',
    `This server does not support reranking. Start it with \`--reranking\`. '${model.id}' does not, ${remedyFor('rerank', model, catalog)}.`,
    'not_supported_error',
  );
}

function readRerank(body: Json): RerankPlan {
  const { query } = body;
  if (query === undefined) throw invalid('query', '"query" must be provided');
  if (typeof query !== 'string') throw invalid('query', '"query" must be a string');
  const field = texts(body.documents) || body.texts === undefined ? 'documents' : 'texts';
  const documents = texts(body[field]);
  if (!documents) throw invalid(field, '"documents" must be a non-empty string array');
  if (documents.length > MAX_DOCUMENTS) {
    throw invalid(
      field,
      `'${field}' holds ${documents.length} texts; the limit is ${MAX_DOCUMENTS}. Send them in several requests.`,
    );
  }
  const tei = body.texts !== undefined;
  return {
    query,
    documents,
    top: readTop(body.top_n, documents.length),
    tei,
    returnText: tei && body.return_text === true,
    modelName: body.model,
  };
}

function texts(value: unknown): string[] | null {
  const sound = Array.isArray(value) && value.length > 0 && value.every((entry) => typeof entry === 'string');
  return sound ? value : null;
}

/** llama-server takes anything but a number to mean all, and fails at a negative one without a helpful word. */
function readTop(value: unknown, count: number): number {
  if (!isPresent(value) || typeof value !== 'number') return count;
  if (value < 0) throw invalid('top_n', `'top_n' must be at least 0, but is ${value}`);
  return Math.min(Math.trunc(value), count);
}

async function* rankDocuments(
  loaded: LoadedModel,
  context: ServerContext,
  model: CatalogModel,
  plan: RerankPlan,
  { signal, caller }: Scope,
): AsyncGenerator<Result> {
  const { query, documents } = plan;
  const pooling = poolingType(loaded.info.metadata);
  // The catalog claims that it can, but by its header it has no classifier: its results would not be scores.
  if (pooling !== null && pooling !== 'rank') throw notSupported(model, await context.models.catalog());
  const ranked = await together(documents, signal, (document, signal, index) =>
    nameTooLong(
      loaded.rerank({ query, document, caller, signal }),
      plan.tei ? 'texts' : 'documents',
      index,
      documents.length,
    ),
  );
  yield rankedList(ranked, plan, model);
}

function rankedList(ranked: RerankResult[], plan: RerankPlan, model: CatalogModel): Result {
  const best = ranked
    .map(({ score }, index) => ({ index, score }))
    .sort((a, b) => b.score - a.score)
    .slice(0, plan.top);
  if (plan.tei) {
    return best.map(({ index, score }) => ({
      index,
      score,
      ...(plan.returnText ? { text: plan.documents[index] } : {}),
    }));
  }
  const tokens = ranked.reduce((sum, result) => sum + result.tokens, 0);
  return {
    model: plan.modelName ?? model.id,
    object: 'list',
    usage: { prompt_tokens: tokens, total_tokens: tokens },
    results: best.map(({ index, score }) => ({ index, relevance_score: score })),
  };
}
