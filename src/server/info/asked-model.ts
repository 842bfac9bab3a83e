/** The model that a GET asks about, in its query: `?model=…&autoload=false`. */
import type { LoadedModel } from '../../engine/engine.ts';
import type { CatalogModel } from '../../models/models.ts';
import { DEFAULT_PING_INTERVAL } from '../generate/params.ts';
import { answer, type Result } from '../http/answer.ts';
import { abortWith, type ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';

/** Answers with what `describe` says of the model; loads it first, unless the query says `autoload=false`. */
export async function describeAsked(
  request: Request,
  context: ServerContext,
  describe: (model: CatalogModel, loaded: LoadedModel, query: URLSearchParams) => Result | Promise<Result>,
): Promise<Response> {
  const query = new URL(request.url).searchParams;
  const model = findModel(await context.models.catalog(), query.get('model'), context.naming);
  const abort = abortWith(request);
  async function* results(): AsyncGenerator<Result> {
    yield context.pool.lend(model, abort.signal, (loaded) => describe(model, loaded, query));
  }
  return answer(results(), { stream: false, pingInterval: DEFAULT_PING_INTERVAL, abort });
}
