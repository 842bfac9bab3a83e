/** `GET /models/sse`: llama-server's events of the models' states and downloads. */
import type { Json } from '../engine/engine.ts';
import type { CatalogModel, ModelStatus } from '../models/models.ts';
import { bodyOf, withPings } from './answer.ts';
import { abortWith, type ServerContext } from './context.ts';
import { describeFiles, describeState } from './describe-model.ts';
import { DEFAULT_PING_INTERVAL } from './params.ts';
import { EVENT_STREAM_HEADERS, encodeEvent, PING } from './sse.ts';

/** First of all the current state of each model. */
export async function watchModels(request: Request, context: ServerContext): Promise<Response> {
  const abort = abortWith(request);
  const chunks = withPings(await modelEvents(context, abort.signal), DEFAULT_PING_INTERVAL, PING);
  return new Response(bodyOf(chunks, abort), { headers: EVENT_STREAM_HEADERS });
}

/** What was told of a model so far. */
interface Told {
  /** The last `model_status`. */
  status: string;
  /** Whether a download was told of, and not yet its end. */
  downloading: boolean;
}

async function modelEvents(context: ServerContext, signal: AbortSignal): Promise<AsyncGenerator<string>> {
  const { models, router, work } = context;
  /** Of each model, by id: what is known of its files. */
  const files = new Map<string, ModelStatus | 'removed'>();
  /** Ids of models that changed since they were told of: a slow reader skips what is history. */
  const changed = new Set<string>();
  const told = new Map<string, Told>();
  let wake = () => {};
  const onChange = ({ id }: CatalogModel) => {
    changed.delete(id);
    changed.add(id);
    wake();
  };
  // From now on, so that no change falls between the list and the first event.
  const endings = [
    router.subscribe(onChange),
    work.subscribe(onChange),
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

  async function* events(): AsyncGenerator<string> {
    try {
      while (!signal.aborted) {
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

  function* eventsOf(id: string): Generator<string> {
    const status = files.get(id);
    // Of another site of the origin, whose store tells all tabs.
    if (status === undefined) return;
    if (status === 'removed') {
      if (told.delete(id)) yield modelEvent(id, 'model_remove');
      return;
    }
    const before = told.get(id) ?? { status: '', downloading: false };
    if (!told.has(id)) yield modelEvent('*', 'models_reload');
    told.set(id, before);

    const { value, progress, ...details } = describeState(status, router.state(id));
    const { work: under, loaded, ...about } = describeFiles(status, work.progress(id));
    const isDownloading = value === 'downloading';
    // How much is there and when it was used last tells no news: the one is progress, the other the past.
    const { lastUsed: _, ...state } = about;
    const news = JSON.stringify({ value, ...details, ...state, checked: under !== undefined });
    if (news !== before.status) {
      before.status = news;
      yield modelEvent(id, 'model_status', { status: value, ...details, files: { ...about, loaded } });
    }
    if (isDownloading) {
      before.downloading = true;
      yield modelEvent(id, 'download_progress', progress, under ?? router.state(id));
    } else if (under !== undefined) {
      yield modelEvent(id, 'verify_progress', under);
    } else if (before.downloading) {
      before.downloading = false;
      yield modelEvent(id, status.state === 'complete' ? 'download_finished' : 'download_failed');
    }
  }

  return events();
}
