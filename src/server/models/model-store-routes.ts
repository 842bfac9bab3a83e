/**
 * Management of a model's files. `POST /models` downloads, as in llama-server; the other routes are ours, in its style:
 * `{ model }` sent to a verb.
 */
import { abortable } from '../../abortable.ts';
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import { isHubName } from '../../models/hub-name.ts';
import type { AddOptions, CatalogModel } from '../../models/models.ts';
import { answer, type Result } from '../http/answer.ts';
import { isPresent, json } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { modelOfBody } from './models-routes.ts';

/**
 * `POST /models`: `{ model, id?, token?, endpoint?, download?, wait? }`. The model is an id of the catalog, the http(s)
 * URL of a GGUF, or a hub's `owner/repo:quant`; the last two are added to the catalog. Answers when the download has
 * begun, or with `wait: true` when it has ended; `download: false` only adds.
 */
export async function downloadModel(scope: Scope, context: ServerContext): Promise<Response> {
  const body = await scope.body();
  const wait = readFlag(body, 'wait', false);
  const download = readFlag(body, 'download', true);
  async function* results(): AsyncGenerator<Result> {
    const model = await findOrAdd(body, context);
    if (download) {
      const done = context.work.download(model);
      if (wait) await abortable(done, scope.signal);
    }
    yield { success: true, model: model.id };
  }
  return answerLate(results(), scope.abort);
}

async function findOrAdd(body: Json, { models }: ServerContext): Promise<CatalogModel> {
  const name = readText(body, 'model');
  if (name === undefined) throw invalid('model', 'model must be a non-empty string');
  const catalog = await models.catalog();
  // By its own names only: an alias for any unknown name would shadow what the user means.
  const known = catalog.models.find(({ id, aliases }) => id === name || aliases?.includes(name));
  if (known !== undefined) return known;
  const options: AddOptions = {};
  for (const key of ['id', 'token', 'endpoint'] as const) {
    const value = readText(body, key);
    if (value !== undefined) options[key] = value;
  }
  if (/^https?:\/\//i.test(name)) return models.addFromUrl(name, options);
  if (isHubName(name)) return models.addFromHub(name, options);
  return findModel(catalog, name, { defaultModel: null, aliases: {} });
}

/** Stops the transfer; requests that wait for it go on waiting. */
export async function pauseDownload(scope: Scope, context: ServerContext): Promise<Response> {
  context.models.pause(await modelOfBody(scope, context));
  return json({ success: true });
}

/** Resumes a download that was paused, has failed, or ended with its tab. */
export async function resumeDownload(scope: Scope, context: ServerContext): Promise<Response> {
  const model = await modelOfBody(scope, context);
  const { state, download } = await context.models.status(model);
  // Requests that wait for the paused download then go on.
  if (download !== undefined) context.models.resume(model);
  else if (state !== 'complete') context.work.download(model);
  return json({ success: true });
}

/** Ends the download and deletes what has arrived. */
export async function cancelDownload(scope: Scope, context: ServerContext): Promise<Response> {
  const model = await modelOfBody(scope, context);
  const { download, state } = await context.models.status(model);
  if (download !== undefined) await context.models.cancel(model);
  // Left over from an earlier download.
  else if (state !== 'complete' && model.source?.kind !== 'file') await context.models.remove(model);
  return json({ success: true });
}

/** `{ ok, checked, bad: [{ file, part, of, reason }] }`: the faults found, which `repair` has fixed. */
export function verifyModel(scope: Scope, context: ServerContext): Promise<Response> {
  return checkModel(scope, context, false);
}

export function repairModel(scope: Scope, context: ServerContext): Promise<Response> {
  return checkModel(scope, context, true);
}

async function checkModel(scope: Scope, context: ServerContext, repair: boolean): Promise<Response> {
  const model = await modelOfBody(scope, context);
  async function* results(): AsyncGenerator<Result> {
    yield { model: model.id, ...(await abortable(context.work.check(model, repair), scope.signal)) };
  }
  return answerLate(results(), scope.abort);
}

/** `{ model, pinned = true }`: a pinned model is neither evicted from the disk nor unloaded to make room. */
export async function pinModel(scope: Scope, context: ServerContext): Promise<Response> {
  const body = await scope.body();
  const pinned = readFlag(body, 'pinned', true);
  await context.models.pin(findModel(await context.models.catalog(), body.model, context.naming), pinned);
  return json({ success: true });
}

/** `?model=…&context=…`: the store's `SpaceReport`. */
export async function spaceOfModel(scope: Scope, context: ServerContext): Promise<Response> {
  const query = scope.query;
  const model = findModel(await context.models.catalog(), query.get('model'), context.naming);
  const contextLength = readContext(query.get('context'));
  async function* results(): AsyncGenerator<Result> {
    const { signal } = scope;
    const options = contextLength === undefined ? { signal } : { signal, contextLength };
    yield { model: model.id, ...(await context.models.space(model, options)) };
  }
  return answerLate(results(), scope.abort);
}

function readContext(value: string | null): number | undefined {
  if (value === null || value === '') return undefined;
  if (!/^\d{1,9}$/.test(value) || Number(value) < 1) {
    throw invalid('context', `'context' must be a whole number of tokens, at least 1, but is ${JSON.stringify(value)}`);
  }
  return Number(value);
}

/** Seconds of silence until a sign of life: reading gigabytes takes a while. */
const PING_INTERVAL = 15;

export function answerLate(results: AsyncGenerator<Result>, abort: AbortController, stream = false): Promise<Response> {
  return answer(results, { stream, pingInterval: PING_INTERVAL, abort });
}

export function readText(body: Json, key: string): string | undefined {
  const value = body[key];
  if (!isPresent(value) || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(key, `'${key}' must be a string, but is ${JSON.stringify(value)}`);
  return value;
}

export function readFlag(body: Json, key: string, byDefault: boolean): boolean {
  const value = body[key];
  if (!isPresent(value)) return byDefault;
  if (typeof value !== 'boolean') throw invalid(key, `'${key}' must be true or false, but is ${JSON.stringify(value)}`);
  return value;
}
