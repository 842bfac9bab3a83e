/** Lists the models; llama-server's routes to load and unload them. */
import type { CatalogModel } from '../../models/models.ts';
import { json } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { modelEntry, ollamaEntry } from './model-entry.ts';

// --- GET /models, GET /v1/models/:id -------------------------------------------------------------------------------

export async function listModels(_: Scope, context: ServerContext): Promise<Response> {
  const [catalog, statuses] = await Promise.all([context.models.catalog(), context.models.list()]);
  return json({
    models: catalog.models.map(ollamaEntry),
    object: 'list',
    data: statuses.map((status) => modelEntry(status, catalog, context)),
    ...(context.upstream.status === null ? {} : { upstream: context.upstream.status }),
  });
}

/** For OpenAI's clients; llama-server has no such route. */
export async function getModel(id: string, context: ServerContext): Promise<Response> {
  const catalog = await context.models.catalog();
  const status = await context.models.status(findModel(catalog, id, context.naming));
  return json({ ...modelEntry(status, catalog, context) });
}

// --- POST /models/load, POST /models/unload ------------------------------------------------------------------------

/** Answers once the load has begun; `/models/sse` reports its progress. */
export async function loadModel(scope: Scope, context: ServerContext): Promise<Response> {
  context.pool.load(await modelOfBody(scope, context));
  return json({ success: true });
}

export async function unloadModel(scope: Scope, context: ServerContext): Promise<Response> {
  const model = await modelOfBody(scope, context);
  context.pool.unload(model);
  // llama-server's way to cancel a download. What has arrived is kept.
  context.work.stop(model);
  return json({ success: true });
}

export async function modelOfBody(scope: Scope, context: ServerContext): Promise<CatalogModel> {
  const body = await scope.body();
  return findModel(await context.models.catalog(), body.model, context.naming);
}
