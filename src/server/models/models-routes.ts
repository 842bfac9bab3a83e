/** The models: what there is, what is loaded, and llama-server's router routes to load and unload. */
import type { Json } from '../../engine/engine.ts';
import type { CatalogModel } from '../../models/models.ts';
import { JSON_HEADERS } from '../http/answer.ts';
import { readBody } from '../http/json.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { describeModel, describeOldStyle } from './describe-model.ts';

// --- GET /models, GET /v1/models/:id -------------------------------------------------------------------------------

export async function listModels(context: ServerContext): Promise<Response> {
  const [catalog, files] = await Promise.all([context.models.catalog(), context.models.list()]);
  return json({
    models: catalog.models.map(describeOldStyle),
    object: 'list',
    data: files.map((status) => describeModel(status, catalog, context)),
  });
}

/** OpenAI's clients call it; llama-server has no such route. */
export async function getModel(id: string, context: ServerContext): Promise<Response> {
  const catalog = await context.models.catalog();
  const files = await context.models.status(findModel(catalog, id, context.naming));
  return json({ ...describeModel(files, catalog, context) });
}

// --- POST /models/load, POST /models/unload ------------------------------------------------------------------------

/** Answers when the load has been started; `/models/sse` tells how it goes. */
export async function loadModel(request: Request, context: ServerContext): Promise<Response> {
  context.router.load(await modelOfBody(request, context));
  return json({ success: true });
}

export async function unloadModel(request: Request, context: ServerContext): Promise<Response> {
  const model = await modelOfBody(request, context);
  context.router.unload(model);
  // llama-server's way to cancel a download; what has come stays.
  context.work.stop(model);
  return json({ success: true });
}

export async function modelOfBody(request: Request, context: ServerContext): Promise<CatalogModel> {
  const body = await readBody(request);
  return findModel(await context.models.catalog(), body.model, context.naming);
}

export function json(value: Json): Response {
  return new Response(JSON.stringify(value), { headers: JSON_HEADERS });
}
