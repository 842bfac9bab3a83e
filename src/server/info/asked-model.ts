/** The model named in a GET's query: `?model=…&autoload=false`. */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import type { CatalogModel } from '../../models/models.ts';
import { answer, type Result } from '../http/answer.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';

/**
 * Answers with `describe`'s description of the model. Loads it first, unless the query has `autoload=false`.
 *
 * Who looks is no user: a model that sleeps is described from what was known of it and sleeps on, and one that is loaded
 * will sleep as soon as if nobody had looked.
 * @param asleep The description among what is known of a model that sleeps.
 */
export async function describeAsked(
  scope: Scope,
  context: ServerContext,
  describe: (model: CatalogModel, loaded: LoadedModel, query: URLSearchParams) => Result | Promise<Result>,
  asleep: (known: Json) => Result,
): Promise<Response> {
  const model = findModel(await context.models.catalog(), scope.query.get('model'), context.naming);
  async function* results(): AsyncGenerator<Result> {
    const state = context.pool.state(model.id);
    if (state.value === 'sleeping' && state.known !== null) yield asleep(state.known);
    else if (state.value === 'loaded') yield describe(model, state.model, scope.query);
    else yield context.pool.lend(model, scope, (loaded) => describe(model, loaded, scope.query));
  }
  return answer(results(), { abort: scope.abort });
}
