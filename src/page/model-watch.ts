/** The models' states as the server tells them: `GET /v1/models`, kept up to date by `GET /v1/models/sse`. */
import type { DownloadProgress, ModelFiles, ModelRuntime, ModelStatus } from './api.ts';
import { readEvents } from './events.ts';

/** One entry of `GET /v1/models`, as far as it is read here. */
interface ModelEntry {
  id: string;
  name: string;
  default: boolean;
  aliases: string[];
  capabilities: string[];
  size: number;
  contextLength: number;
  authors: string;
  license: string;
  licenseUrl?: string;
  homepage?: string;
  source: ModelStatus['source'];
  files: ModelFiles;
  status: {
    value: 'unloaded' | 'sleeping' | 'downloading' | 'loading' | 'loaded';
    failed?: boolean;
    error?: string;
    progress?: FileProgress;
    runtime?: ModelRuntime;
  };
}

/** By file name. */
type FileProgress = Record<string, { done: number; total: number; speed?: number }>;

interface ModelEvent {
  model: string;
  event: string;
  data?: unknown;
  /** With `download_progress`: of the model as a whole. */
  work?: DownloadProgress;
}

/** Milliseconds before the next attempt when the events break off although a host is there. */
const RETRY_DELAY = 1_000;

/** A request of our own, by its path below `/v1/`, with files beside it. @throws LlamatabError of an error answer. */
export type Send = (path: string, init?: RequestInit & { files?: readonly File[] }) => Promise<Response>;

export async function listModels(send: Send): Promise<ModelStatus[]> {
  const response = await send('models');
  const body: { data: ModelEntry[] } = await response.json();
  return body.data.map(toModelStatus);
}

/** Calls `onChange` with the whole list now and after each change, until `signal` is aborted. */
export async function watchModels(
  send: Send,
  onChange: (models: ModelStatus[]) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      let models = await listModels(send);
      onChange(models);
      const response = await send('models/sse', { signal });
      for await (const event of readEvents<ModelEvent>(response)) {
        const { model: id, data } = event;
        if (event.event === 'download_progress') {
          const progress = event.work ?? sumProgress(data as FileProgress);
          models = models.map((model) =>
            model.id === id
              ? { ...model, state: 'downloading', progress, files: { ...model.files, work: progress } }
              : model,
          );
        } else if (event.event === 'verify_progress') {
          const work = data as DownloadProgress;
          models = models.map((model) => (model.id === id ? { ...model, files: { ...model.files, work } } : model));
        } else {
          models = await listModels(send);
        }
        onChange(models);
      }
    } catch {
      // The host was lost, or this watch is over: the loop's condition tells.
    }
    if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
  }
}

function toModelStatus(entry: ModelEntry): ModelStatus {
  const { id, name, aliases, capabilities, size, contextLength, authors, license, source, files, status } = entry;
  const { licenseUrl, homepage } = entry;
  const available = status.value === 'unloaded' || status.value === 'sleeping';
  return {
    id,
    name,
    default: entry.default,
    aliases,
    capabilities,
    size,
    contextLength,
    authors,
    license,
    ...(licenseUrl === undefined ? {} : { licenseUrl }),
    ...(homepage === undefined ? {} : { homepage }),
    source,
    state: status.failed ? 'failed' : available ? 'available' : (status.value as ModelStatus['state']),
    files,
    ...(status.progress ? { progress: files.work ?? sumProgress(status.progress) } : {}),
    ...(status.error === undefined ? {} : { error: status.error }),
    ...(status.runtime ? { runtime: status.runtime } : {}),
  };
}

function sumProgress(files: FileProgress): NonNullable<ModelStatus['progress']> {
  const sum = { loaded: 0, total: 0, speed: 0 };
  for (const { done, total, speed = 0 } of Object.values(files)) {
    sum.loaded += done;
    sum.total += total;
    sum.speed += speed;
  }
  return sum;
}
