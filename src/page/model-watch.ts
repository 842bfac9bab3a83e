/** The models' states as the server tells them: `GET /v1/models`, kept up to date by `GET /v1/models/sse`. */
import type { ModelRuntime, ModelStatus } from './api.ts';

/** One entry of `GET /v1/models`, as far as it is read here. */
interface ModelEntry {
  id: string;
  name: string;
  default: boolean;
  aliases: string[];
  capabilities: string[];
  size: number;
  status: {
    value: 'unloaded' | 'downloading' | 'loading' | 'loaded';
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
}

/** Milliseconds before the next attempt when the events break off although a host is there. */
const RETRY_DELAY = 1_000;

/** A request of our own, by its path below `/v1/`. @throws LlamatabError of an error answer. */
export type Send = (path: string, init?: RequestInit) => Promise<Response>;

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
      for await (const event of events(response)) {
        if (event.event === 'download_progress') {
          const progress = sumProgress(event.data as FileProgress);
          models = models.map((model) =>
            model.id === event.model ? { ...model, state: 'downloading', progress } : model,
          );
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

async function* events(response: Response): AsyncGenerator<ModelEvent> {
  if (!response.body) return;
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      // What does not begin so is a comment, which keeps the connection alive.
      if (event.startsWith('data: ')) yield JSON.parse(event.slice('data: '.length));
    }
  }
}

function toModelStatus(entry: ModelEntry): ModelStatus {
  const { id, name, aliases, capabilities, size, status } = entry;
  return {
    id,
    name,
    default: entry.default,
    aliases,
    capabilities,
    size,
    state: status.failed ? 'failed' : status.value === 'unloaded' ? 'available' : status.value,
    ...(status.progress ? { progress: sumProgress(status.progress) } : {}),
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
