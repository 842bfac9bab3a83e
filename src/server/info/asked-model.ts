/** The model named in a GET's query: `?model=…&autoload=false`. */
import type { LoadedModel } from '../../engine/engine.ts';
import type { CatalogModel } from '../../models/models.ts';
import { answer, type Result } from '../http/answer.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';

/** Answers with `describe`'s description of the model. Loads it first, unless the query has `autoload=false`. */
export async function describeAsked(
  scope: Scope,
  context: ServerContext,
  describe: (model: CatalogModel, loaded: LoadedModel, query: URLSearchParams) => Result | Promise<Result>,
): Promise<Response> {
  const model = findModel(await context.models.catalog(), scope.query.get('model'), context.naming);
  async function* results(): AsyncGenerator<Result> {
    yield context.pool.lend(model, scope, (loaded) => describe(model, loaded, scope.query));
  }
  return answer(results(), { abort: scope.abort });
}
