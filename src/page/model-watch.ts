/** The models' states as the server reports them: `GET /v1/models`, kept up to date by `GET /v1/models/sse`. */
import { isAbort, LlamatabError } from '../errors.ts';
import { readEvents } from '../event-stream.ts';
import type { FileProgress, ModelEntry, ModelEvent } from '../model-status.ts';
import type { DownloadProgress } from '../models/models.ts';
import { HostLost } from '../transport/caller.ts';
import type { ModelStatus, ServerStatus, UpstreamStatus } from './api.ts';

/** Milliseconds before the next attempt: the next host takes a moment, and what failed may work again. */
const RETRY_DELAY = 1_000;

/** A request of the page's own, by its path below `/v1/`, with files beside it. @throws LlamatabError of an error answer. */
export type Send = (path: string, init?: RequestInit & { files?: readonly File[] }) => Promise<Response>;

export type Watched = Pick<ServerStatus, 'models' | 'modelsError' | 'upstream'>;

export async function listModels(send: Send): Promise<Pick<Watched, 'models' | 'upstream'>> {
  const response = await send('models');
  const { data, upstream = null }: { data: ModelEntry[]; upstream?: UpstreamStatus | null } = await response.json();
  return { models: data.map(toModelStatus), upstream };
}

/**
 * Calls `onChange` with the whole list now and after each change, until `signal` is aborted. A lost host is replaced by the next
 * one, and what the server can't do just now (5xx: the catalog can't be reached) is tried again.
 * @param retryDelay Milliseconds.
 * @throws LlamatabError an answer that asking again won't change, such as 401 where another tab's engine wants another key
 */
export async function watchModels(
  send: Send,
  onChange: (change: Partial<Watched>) => void,
  signal: AbortSignal,
  retryDelay = RETRY_DELAY,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await watchHost(send, onChange, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof LlamatabError && error.status >= 500) onChange({ modelsError: error.message });
      // The page's own abort: it was left, and may come back from the back/forward cache.
      else if (!(error instanceof HostLost || isAbort(error))) throw error;
    }
    if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, retryDelay));
  }
}

/** Returns, or throws, when the host stops sending. */
async function watchHost(send: Send, onChange: (change: Partial<Watched>) => void, signal: AbortSignal): Promise<void> {
  let models: ModelStatus[] = [];
  const update = (change: Partial<Watched> & Pick<Watched, 'models'>) => {
    models = change.models;
    onChange({ ...change, modelsError: null });
  };
  const change = (id: string, work: DownloadProgress, rest: Partial<ModelStatus> = {}) =>
    update({
      models: models.map((model) => (model.id === id ? { ...model, ...rest, files: { ...model.files, work } } : model)),
    });

  update(await listModels(send));
  const { body } = await send('models/sse', { signal });
  if (body === null) return;
  for await (const data of readEvents(body)) {
    const event: ModelEvent = JSON.parse(data);
    switch (event.event) {
      case 'download_progress': {
        const progress = event.work ?? sumProgress(event.data);
        change(event.model, progress, { state: 'downloading', progress });
        break;
      }
      case 'verify_progress':
        change(event.model, event.data);
        break;
      default:
        update(await listModels(send));
    }
  }
}

function toModelStatus(entry: ModelEntry): ModelStatus {
  const { object, tags, created, owned_by, architecture, can_remove, meta, status, ...description } = entry;
  const { value, failed, error, progress, runtime } = status;
  const available = value === 'unloaded' || value === 'sleeping';
  return {
    ...description,
    state: failed ? 'failed' : available ? 'available' : value,
    ...(progress ? { progress: entry.files.work ?? sumProgress(progress) } : {}),
    ...(error === undefined ? {} : { error }),
    ...(runtime ? { runtime } : {}),
  };
}

function sumProgress(files: FileProgress): DownloadProgress {
  const sum = { loaded: 0, total: 0, speed: 0 };
  for (const { done, total, speed } of Object.values(files)) {
    sum.loaded += done;
    sum.total += total;
    sum.speed += speed;
  }
  return sum;
}
