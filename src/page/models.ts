/** `server.models`: each method is a request to one of the server's routes. */

import type { ErrorEnvelope } from '../errors.ts';
import { LlamatabError } from '../errors.ts';
import { readEvents } from '../event-stream.ts';
import type { SpaceReport, VerifyReport } from '../models/models.ts';
import type { DownloadProgress, Models } from './api.ts';
import { listModels, type Send, type Watched } from './model-watch.ts';

type Body = Record<string, unknown>;

/** Of `POST /v1/models/import`: progress, then the model's id, or an error at any point. */
type ImportEvent = Partial<ErrorEnvelope> & (DownloadProgress | { model: string });

/** @param onList called with each list that was read. */
export function createModels(send: Send, onList: (listed: Partial<Watched>) => void): Models {
  /** @throws LlamatabError also for an error after a status of 200: a long wait is answered with its status before it ends. */
  async function read<T>(response: Response): Promise<T> {
    const body: T & Partial<ErrorEnvelope> = await response.json();
    if (body.error !== undefined) throw LlamatabError.fromEnvelope({ error: body.error });
    return body;
  }
  const get = async <T>(path: string, init?: RequestInit) => read<T>(await send(path, init));
  const post = async <T = unknown>(verb: string, body: Body, signal?: AbortSignal): Promise<T> =>
    read<T>(await send(`models${verb && `/${verb}`}`, postOf(body, signal)));
  const add = async (model: string, body: Body, { signal, ...options }: { signal?: AbortSignal }) =>
    (await post<{ model: string }>('', { ...options, ...body, model }, signal)).model;

  return {
    async list() {
      const listed = await listModels(send);
      onList(listed);
      return listed.models;
    },
    async load(model = 'local') {
      // Of all routes that need the model it has the smallest answer, and it says why a model can't be loaded.
      await get(`props?model=${encodeURIComponent(model)}`);
    },
    async unload(model = 'local') {
      await post('unload', { model });
    },
    add: (source, options = {}) => add(source, { download: false }, options),
    download: (model, options = {}) => add(model, { wait: true }, options),
    async addFiles(files, { id, signal, onProgress } = {}) {
      const response = await send('models/import', { ...postOf({ id, stream: true }, signal), files: [...files] });
      for await (const data of response.body ? readEvents(response.body) : []) {
        const event: ImportEvent = JSON.parse(data);
        if (event.error !== undefined) throw LlamatabError.fromEnvelope({ error: event.error });
        if ('model' in event) return event.model;
        onProgress?.(event);
      }
      throw new LlamatabError('unavailable_error', 'The tab that runs the engine was closed. Add the files again.');
    },
    async pause(model) {
      await post('pause', { model });
    },
    async resume(model) {
      await post('resume', { model });
    },
    async cancel(model) {
      await post('cancel', { model });
    },
    verify: (model, { signal } = {}) => post<VerifyReport>('verify', { model }, signal),
    repair: (model, { signal } = {}) => post<VerifyReport>('repair', { model }, signal),
    async pin(model, pinned = true) {
      await post('pin', { model, pinned });
    },
    space(model, { contextLength, signal } = {}) {
      const query = new URLSearchParams({ model });
      if (contextLength !== undefined) query.set('context', String(contextLength));
      return get<SpaceReport>(`models/space?${query}`, signal ? { signal } : {});
    },
    async remove(model) {
      await get(`models?${new URLSearchParams({ model })}`, { method: 'DELETE' });
    },
    export(model, { file, signal } = {}) {
      const query = new URLSearchParams(file === undefined ? { model } : { model, file });
      return send(`models/export?${query}`, signal ? { signal } : {});
    },
  };
}

function postOf(body: Body, signal?: AbortSignal): RequestInit {
  return {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  };
}
