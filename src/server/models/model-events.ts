/** `GET /models/sse`: llama-server's events about the models' states and downloads. */
import { LlamatabError } from '../../errors.ts';
import type { ModelEvent } from '../../model-status.ts';
import type { CatalogModel, ModelStatus } from '../../models/models.ts';
import { type BodyFormat, bodyOf, DEFAULT_PING_INTERVAL } from '../http/answer.ts';
import type { Scope } from '../http/scope.ts';
import { EVENT_STREAM_HEADERS, encodeEvent, PING } from '../http/sse.ts';
import type { ServerContext } from '../state/context.ts';
import { filesEntry, statusEntry } from './model-entry.ts';

/** Begins with the current state of each model. */
export async function watchModels(scope: Scope, context: ServerContext): Promise<Response> {
  if (scope.delivered !== undefined) {
    throw new LlamatabError(
      'unavailable_error',
      'The tab whose models these were is closed: ask for them, and for events, again.',
    );
  }
  const events = await modelEvents(context, scope.signal);
  return new Response(bodyOf(events, FORMAT, DEFAULT_PING_INTERVAL, scope.abort), { headers: EVENT_STREAM_HEADERS });
}

const FORMAT: BodyFormat<ModelEvent> = { result: encodeEvent, error: encodeEvent, end: '', ping: PING };

/** What the client was told about a model. */
interface Told {
  /** The last `model_status`. */
  status: string;
  /** Whether it was told of a download, but not yet of its end. */
  downloading: boolean;
}

async function modelEvents(context: ServerContext, signal: AbortSignal): Promise<AsyncGenerator<ModelEvent>> {
  const { models, pool, work, upstream } = context;
  /** By model id: the last known state of its files. */
  const files = new Map<string, ModelStatus | 'removed'>();
  /** Ids of models that changed since the client was told: a slow one skips intermediate states. */
  const changed = new Set<string>();
  const told = new Map<string, Told>();
  let wake = () => {};
  let upstreamChanged = false;
  const onChange = ({ id }: CatalogModel) => {
    changed.delete(id);
    changed.add(id);
    wake();
  };
  // Subscribes first, so that no change is lost between the list and the first event.
  const endings = [
    pool.subscribe(onChange),
    work.subscribe(onChange),
    upstream.subscribe(() => {
      upstreamChanged = true;
      wake();
    }),
    models.subscribe((model, status) => {
      files.set(model.id, status);
      onChange(model);
    }),
  ];
  const end = () => {
    for (const unsubscribe of endings) unsubscribe();
    signal.removeEventListener('abort', onAbort);
  };
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    for (const status of await models.list()) {
      if (!files.has(status.model.id)) files.set(status.model.id, status);
      changed.add(status.model.id);
      told.set(status.model.id, { status: '', downloading: false });
    }
  } catch (error) {
    end();
    throw error;
  }

  async function* events(): AsyncGenerator<ModelEvent> {
    try {
      while (!signal.aborted) {
        if (upstreamChanged) {
          upstreamChanged = false;
          yield { model: '*', event: 'upstream_change' };
        }
        const [id] = changed;
        if (id === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        changed.delete(id);
        yield* eventsOf(id);
      }
    } finally {
      end();
    }
  }

  function* eventsOf(id: string): Generator<ModelEvent> {
    const status = files.get(id);
    // It belongs to another site of the origin: the store notifies all tabs.
    if (status === undefined) return;
    if (status === 'removed') {
      if (told.delete(id)) yield { model: id, event: 'model_remove' };
      return;
    }
    const before = told.get(id) ?? { status: '', downloading: false };
    if (!told.has(id)) yield { model: '*', event: 'models_reload' };
    told.set(id, before);

    const state = pool.state(id);
    const { value, progress, ...details } = statusEntry(status, state);
    const { work: under, loaded, lastUsed, ...stored } = filesEntry(status, work.progress(id));
    // `loaded` is progress, and `lastUsed` history: neither is news.
    const news = JSON.stringify([value, details, stored, under !== undefined]);
    if (news !== before.status) {
      before.status = news;
      const data = { status: value, ...details, files: { ...stored, loaded, lastUsed } };
      yield { model: id, event: 'model_status', data };
    }
    if (value === 'downloading') {
      before.downloading = true;
      const whole = under ?? (state.value === 'downloading' ? state.progress : undefined);
      yield { model: id, event: 'download_progress', data: progress ?? {}, ...(whole ? { work: { ...whole } } : {}) };
    } else if (under !== undefined) {
      yield { model: id, event: 'verify_progress', data: under };
    } else if (before.downloading) {
      before.downloading = false;
      yield { model: id, event: status.state === 'complete' ? 'download_finished' : 'download_failed' };
    }
  }

  return events();
}
