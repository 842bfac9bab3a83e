/** Models as files: adds them from the visitor's disk, exports and deletes them. */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import type { CatalogModel, DownloadProgress } from '../../models/models.ts';
import type { Result } from '../http/answer.ts';
import { routeNotFound } from '../http/error-response.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { answerLate, readFlag, readText } from './model-store-routes.ts';

/**
 * `POST /models/import`. A page with a handle from `serve()` sends the files beside the request, by reference, and `{
 * id?, stream? }`. Other clients send the file itself as the body, with `?name=…&id=…`; it is held in memory, so not
 * for gigabytes.
 *
 * @param files Sent beside the request.
 */
export async function importModel(scope: Scope, context: ServerContext, files?: readonly File[]): Promise<Response> {
  const query = scope.query;
  const body = files === undefined ? { id: query.get('id') } : await scope.body();
  const id = readText(body, 'id');
  const stream = readFlag(body, 'stream', false);
  const given = files ?? [new File([await scope.request.blob()], query.get('name') ?? 'model.gguf')];

  async function* results(): AsyncGenerator<Result> {
    let progress: DownloadProgress | undefined;
    let wake = () => {};
    let model: CatalogModel | undefined;
    const adding = context.models.addFromFiles(given, {
      ...(id === undefined ? {} : { id }),
      signal: scope.signal,
      onProgress: (now) => {
        progress = now;
        wake();
      },
    });
    const ended = adding.then((added) => {
      model = added;
      wake();
    });
    ended.catch(() => wake());
    while (stream && model === undefined) {
      const next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (progress !== undefined) {
        const report = reportOf(progress);
        progress = undefined;
        yield report;
      }
      // Don't wait if something came while that was sent, be it the end or a failure.
      if (progress === undefined && model === undefined) await Promise.race([next, ended]);
    }
    const { id: added } = await adding;
    if (stream && progress !== undefined) yield reportOf(progress);
    yield { success: true, model: added };
  }
  return answerLate(results(), scope.abort, stream);
}

function reportOf({ loaded, total, speed, eta = null }: DownloadProgress): Json {
  return { loaded, total, speed, eta };
}

/**
 * `GET /models/export?model=…&file=…`: a file of the model, or the whole model as an archive that another device can
 * add.
 */
export async function exportModel(scope: Scope, context: ServerContext): Promise<Response> {
  const query = scope.query;
  const model = findModel(await context.models.catalog(), query.get('model'), context.naming);
  const file = await fileOf(model, query.get('file'), context);
  return new Response(file.stream(), {
    headers: {
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(file.size),
      'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(file.name)}`,
    },
  });
}

async function fileOf(model: CatalogModel, name: string | null, { models }: ServerContext): Promise<File> {
  if (name === null || name === '') return models.exportArchive(model);
  const files = await models.exportFiles(model);
  const file = files.find((each) => each.name === name);
  if (file !== undefined) return file;
  const names = files.map((each) => each.name).join(', ');
  throw invalid('file', `The model '${model.id}' has no file '${name}'. Its files: ${names}`);
}

/**
 * `DELETE /models?model=…`, as in llama-server, and `DELETE /models/{id}`: frees the model's memory, deletes its files,
 * and forgets it if the user added it.
 */
export async function deleteModel(name: string | undefined, context: ServerContext): Promise<Response> {
  // A model to delete must be named: no name means neither all models nor the default one.
  if (name === undefined || name === '') return routeNotFound();
  const model = findModel(await context.models.catalog(), name, context.naming);
  context.pool.unload(model);
  async function* results(): AsyncGenerator<Result> {
    await context.models.remove(model);
    yield { success: true };
  }
  return answerLate(results(), new AbortController());
}
