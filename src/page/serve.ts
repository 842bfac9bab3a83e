/** `serve()`: puts an OpenAI-compatible server into this page's origin. */
import { isAbort, LlamatabError } from '../errors.ts';
import type { ToServiceWorker } from '../protocol.ts';
import { serverUrl } from '../transport/address.ts';
import { createRelay } from '../transport/relay.ts';
import type { ModelStatus, ServeOptions, Server, ServerStatus } from './api.ts';
import { announceHost, answerWhoHosts, createConnection } from './connection.ts';
import { createEngineHost } from './engine-host.ts';
import { type Send, watchModels } from './model-watch.ts';
import { createModels } from './models.ts';
import { createPersistenceRequest } from './persistence.ts';
import { RealtimeSocket } from './realtime.ts';
import { control, register } from './registration.ts';
import { engineUrls, resolveBase, serviceWorkerUrl, workerConfig, workerUrl } from './site.ts';

/** In `sessionStorage` once this tab reloaded itself to become isolated: never twice, if that did not help. */
const RELOADED = 'llamatab:isolated';

/**
 * Starts the server, or joins the one that another tab runs.
 *
 * Registers the service worker, stands for election as the origin's engine host, and begins to load the default model.
 * From then on `fetch('/v1/chat/completions')`, from any page, iframe or worker of the site, is answered on the device;
 * requests that come before the model is ready wait for it.
 *
 * @returns once requests are answered; the model may still be loading (see `Server.subscribe`).
 * @throws LlamatabError `not_supported_error` if the page is no secure context (https or localhost);
 *   `unavailable_error` if llamatab's files are not where `base` says.
 */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  if (!globalThis.isSecureContext) {
    throw new LlamatabError(
      'not_supported_error',
      `llamatab needs a secure context (https, or http on localhost), which ${location.origin} is not: ` +
        'browsers give others neither service workers nor Web Locks.',
    );
  }
  const base = resolveBase(options.base, location.href);
  const { registration, reason } = await tryRegister(base, options);

  const listeners = new Set<(status: ServerStatus) => void>();
  let status: ServerStatus = {
    state: 'starting',
    role: 'none',
    intercepts: false,
    isolated: globalThis.crossOriginIsolated,
    models: [],
  };
  const update = (change: Partial<ServerStatus>) => {
    status = { ...status, ...change };
    for (const listener of listeners) listener(status);
  };

  const engineHost = createEngineHost(workerUrl(base), workerConfig(base, options, registration === null), () => {
    if (registration) announceHost(engineHost, registration);
    update({ role: 'host' });
    // The tab that hosted before is gone, and its memory with it.
    if (status.state === 'ready') preload();
  });
  const connection = createConnection(engineHost, registration);
  const relay = createRelay(connection.find);
  const stopped = new AbortController();
  let hidden = new AbortController();

  const dispatch = async (request: Request, files?: readonly File[]): Promise<Response> => {
    const { url: asked, method } = request;
    const url = serverUrl(asked, base, { nativeRoutes: options.nativeRoutes ?? true, method });
    if (url === null) return globalThis.fetch(request);
    const signal = AbortSignal.any([request.signal, hidden.signal, stopped.signal]);
    return relay.send(new Request(request, { signal }), url, files);
  };
  const serverFetch: typeof fetch = async (input, init) => dispatch(new Request(input, init));
  const [apiKey] = [options.apiKey ?? []].flat();
  /** Requests of our own, by paths below `/v1/`. @throws LlamatabError of the answer's envelope. */
  const send: Send = async (path, { files, ...init } = {}) => {
    const request = new Request(new URL(`v1/${path}`, base), init);
    if (apiKey !== undefined) request.headers.set('Authorization', `Bearer ${apiKey}`);
    const response = await dispatch(request, files);
    if (!response.ok) throw LlamatabError.fromEnvelope(await response.json());
    return response;
  };

  // A page in the back/forward cache keeps its locks: it must neither host nor wait for answers there.
  const onHide = () => {
    engineHost.withdraw();
    hidden.abort(new DOMException('The page was left.', 'AbortError'));
  };
  const onShow = ({ persisted }: PageTransitionEvent) => {
    if (!persisted) return;
    hidden = new AbortController();
    update({ role: 'guest' });
    engineHost.stand();
  };
  addEventListener('pagehide', onHide);
  addEventListener('pageshow', onShow);
  const endAnswers = registration ? answerWhoHosts(engineHost) : () => {};

  const stop = async () => {
    removeEventListener('pagehide', onHide);
    removeEventListener('pageshow', onShow);
    endAnswers();
    stopped.abort(new LlamatabError('unavailable_error', 'This server was stopped: call serve() again.'));
    connection.close();
    engineHost.withdraw();
    update({ state: 'stopped', role: 'none' });
    listeners.clear();
  };

  engineHost.stand();
  try {
    const [, intercepts] = await Promise.all([connection.find(), registration ? control(registration) : false]);
    if (intercepts && options.isolate) await isolate();
    update({
      state: 'ready',
      role: engineHost.hosting ? 'host' : 'guest',
      intercepts,
      ...(intercepts ? {} : { interceptsNot: reason ?? NO_CONTROL }),
    });
  } catch (error) {
    await stop();
    throw LlamatabError.from(error);
  }

  const keepOffline = registration ? createKeeper(base, registration) : () => {};
  const requestPersistence = createPersistenceRequest();
  watchModels(
    send,
    (models) => {
      update({ models });
      keepOffline(models);
      if (options.persist !== false) requestPersistence(models);
    },
    stopped.signal,
  );

  const models = createModels(send, (models) => update({ models }));
  const preload = () => {
    if (options.preload === false) return;
    models.load(options.model).catch((error) => {
      // In the model's status as well; here for those who look at the browser's console only.
      if (!isAbort(error) && !stopped.signal.aborted) console.error('llamatab:', error);
    });
  };
  preload();

  return {
    baseURL: new URL('v1', base).href,
    fetch: serverFetch,
    get status() {
      return status;
    },
    subscribe(listener) {
      listeners.add(listener);
      listener(status);
      return () => listeners.delete(listener);
    },
    models,
    realtime: (options) => new RealtimeSocket(send, base, options),
    stop,
  };
}

const NO_CONTROL =
  'The service worker did not take control of this page: pass `server.fetch` to your client, or reload.';

/** The service worker's registration, or the reason why there is none: the server works without, for this page alone. */
async function tryRegister(
  base: string,
  options: ServeOptions,
): Promise<{ registration: ServiceWorkerRegistration | null; reason: string | null }> {
  const without = (reason: string) => ({
    registration: null,
    reason: `${reason} Pass \`server.fetch\` to your client.`,
  });
  if (options.serviceWorker === false) return without('serve() was called with `serviceWorker: false`.');
  if (!('serviceWorker' in navigator)) return without('This browser, or this private window, has no service workers.');
  const script = serviceWorkerUrl(base, options);
  try {
    return { registration: await register(script, base), reason: null };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return without(`The service worker ${script} could not be registered: ${why}`);
  }
}

/** Reloads the page, which the service worker will then answer with isolation headers. Once in a tab. */
async function isolate(): Promise<void> {
  if (globalThis.crossOriginIsolated || sessionStorage.getItem(RELOADED)) return;
  sessionStorage.setItem(RELOADED, 'yes');
  location.reload();
  await new Promise(() => {});
}

/**
 * Has the service worker keep the site's files for visits without a network; and the engine's, of the build that this browser
 * needs, once a model runs on it.
 */
function createKeeper(base: string, registration: ServiceWorkerRegistration): (models: ModelStatus[]) => void {
  const keep = (urls: string[]) => registration.active?.postMessage({ type: 'keep', urls } satisfies ToServiceWorker);
  let kept = false;
  keep([]);
  return (models) => {
    const runtime = models.find((model) => model.runtime)?.runtime;
    if (kept || !runtime) return;
    kept = true;
    keep(engineUrls(base, runtime));
  };
}
