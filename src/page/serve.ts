/** `serve()`: puts an OpenAI-compatible server into this page's site. */
import { anySignal } from '../abortable.ts';
import { isAbort, LlamatabError } from '../errors.ts';
import type { SiteOptions, ToServiceWorker } from '../protocol.ts';
import { serverUrl } from '../transport/address.ts';
import { watchHeartbeat } from '../transport/heartbeat.ts';
import { createRelay } from '../transport/relay.ts';
import type { ModelStatus, ServeOptions, Server, ServerStatus } from './api.ts';
import { limitsOf, whyUnsupported } from './browser.ts';
import { announceHost, answerServiceWorker, createConnection } from './connection.ts';
import { type Deploy, engineUrls } from './deploy.ts';
import { createEngineHost } from './engine-host.ts';
import { watchFreezing } from './freezing.ts';
import { isolate } from './isolation.ts';
import { type Send, type Watched, watchModels } from './model-watch.ts';
import { createModels } from './models.ts';
import { createPersistenceRequest } from './persistence.ts';
import { RealtimeSocket } from './realtime.ts';
import { configure, control, register, untilCurrent, watchControl } from './registration.ts';
import { baseContext, engineSettings, interceptedAddresses, resolveBase, serviceWorkerUrl } from './site.ts';
import { createSiteSettings } from './site-settings.ts';

/**
 * Starts the server, or joins the one that another tab runs.
 *
 * Registers the service worker, stands for election as the site's engine host, and starts to load the default model.
 * From then on `fetch('/v1/chat/completions')`, from any page, iframe or worker of the site, is answered on the device;
 * requests that come before the model is ready wait for it.
 *
 * @returns once requests are answered; the model may still be loading (see `Server.subscribe`).
 * @throws LlamatabError `not_supported_error` if the page is not a secure context (https or localhost), is sandboxed without an
 *   origin, or the browser lacks what llamatab can't do without: the message says what;
 *   `invalid_request_error` if `base` is on another origin; `unavailable_error` if llamatab's files are not where `base` says.
 *
 * @example
 * ```ts
 * import { serve } from 'llamatab';
 * import OpenAI from 'openai';
 *
 * const server = await serve();
 * const openai = new OpenAI({
 *   baseURL: server.baseURL,
 *   fetch: server.fetch, // works on the first visit too, before the service worker controls the page
 *   apiKey: 'local',
 *   dangerouslyAllowBrowser: true, // there is no secret key
 * });
 * const stream = await openai.chat.completions.create({
 *   model: 'local',
 *   stream: true,
 *   max_tokens: 8,
 *   messages: [{ role: 'user', content: 'What is the capital of France?' }],
 * });
 * for await (const chunk of stream) console.log(chunk.choices[0]?.delta.content ?? '');
 * ```
 */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  if (!globalThis.isSecureContext) {
    throw new LlamatabError(
      'not_supported_error',
      `llamatab needs a secure context (https, or http on localhost), and ${location.origin} is not one: ` +
        'browsers offer service workers and Web Locks nowhere else.',
    );
  }
  const unsupported = whyUnsupported();
  if (unsupported !== null) throw new LlamatabError('not_supported_error', unsupported);
  // As in `sandbox` without `allow-same-origin`, where no worker of the site can be started.
  if (globalThis.origin === 'null') {
    throw new LlamatabError(
      'not_supported_error',
      'llamatab needs an origin, and this page has none: it is in a sandboxed iframe, or its Content-Security-Policy has `sandbox`. ' +
        'Add `allow-same-origin` to the sandbox, or call serve() in the page around it.',
    );
  }
  const base = resolveBase(options.base, baseContext());
  const { registration, reason } = await tryRegister(base, options);
  const site = await agreeOn(registration, options, base);

  const listeners = new Set<(status: ServerStatus) => void>();
  let status: ServerStatus = {
    state: 'starting',
    role: 'none',
    intercepts: false,
    reload: null,
    isolated: globalThis.crossOriginIsolated,
    limits: limitsOf(),
    models: [],
    modelsError: null,
    upstream: null,
  };
  const update = (change: Partial<ServerStatus>) => {
    status = { ...status, ...change };
    if (status.intercepts) delete status.interceptsNot;
    for (const listener of listeners) listener(status);
  };

  const own = engineSettings(base, options);
  const settings = createSiteSettings(base, own, (settings) => engineHost.adopt(settings));
  const engineHost = createEngineHost(base, registration === null, own, {
    settings: () => settings.latest,
    onHosting() {
      if (registration) announceHost(engineHost, registration);
      void settings.confirm();
      update({ role: 'host' });
      // The previous host is gone, and its loaded models with it.
      if (status.state !== 'ready') return;
      // The watch may have ended, because the previous host required another key.
      watch();
      preload();
    },
    onReplaced: () => {
      loseOwn();
      update({ role: 'guest' });
    },
  });
  const connection = createConnection(engineHost, registration);
  /** Where nobody holds locks, nothing else tells that this page's worker has ended. */
  const loseOwn = () => {
    if (registration === null) connection.current?.lose();
  };
  /** Why there is no host for this page until it is reloaded. */
  let outdated: string | null = null;
  const findHost = async () => {
    try {
      const host = await connection.find();
      if (outdated !== null) update({ reload: null });
      outdated = null;
      return host;
    } catch (error) {
      const { message, details } = LlamatabError.from(error);
      if (details.reload) {
        outdated = message;
        update({ reload: message });
      }
      throw error;
    }
  };
  const relay = createRelay(findHost);
  const watchHost = watchHeartbeat(base, {
    isNeeded: () => registration !== null && (status.state === 'starting' || relay.underWay > 0),
    connection: () => connection.current,
    onSilence: (host) => engineHost.takeOver(host),
  });
  /** Names this page among those that ask. */
  const page = crypto.randomUUID();
  const stopped = new AbortController();
  let hidden = new AbortController();

  const dispatch = async (request: Request, files?: readonly File[]): Promise<Response> => {
    const url = serverUrl(request, base, site);
    if (url === null) return globalThis.fetch(request);
    stopped.signal.throwIfAborted();
    const signal = anySignal(request.signal, hidden.signal, stopped.signal);
    const response = relay.send(new Request(request, { signal }), url, page, { files });
    watchHost();
    return response;
  };
  const serverFetch: typeof fetch = async (input, init) => dispatch(new Request(input, init));
  const [apiKey] = [options.apiKey ?? []].flat();
  /** Sends the page's own requests, by their path below `/v1/`. @throws LlamatabError the answer's, if it is an error */
  const send: Send = async (path, { files, ...init } = {}) => {
    const request = new Request(new URL(`v1/${path}`, base), init);
    if (apiKey !== undefined) request.headers.set('Authorization', `Bearer ${apiKey}`);
    const response = await dispatch(request, files);
    if (response.ok) return response;
    const error = LlamatabError.fromEnvelope(await response.json());
    if (error.type === 'authentication_error' && settings.overruled) update({ reload: OTHER_KEY });
    throw error;
  };

  // A page keeps its locks in the back/forward cache, so it must neither host nor wait for answers there.
  const onHide = () => {
    engineHost.withdraw();
    settings.close();
    hidden.abort(new DOMException('The page was left.', 'AbortError'));
    loseOwn();
  };
  const onShow = ({ persisted }: PageTransitionEvent) => {
    if (!persisted) return;
    hidden = new AbortController();
    update({ role: 'guest' });
    if (registration) settings.reopen();
    engineHost.stand();
  };
  addEventListener('pagehide', onHide);
  addEventListener('pageshow', onShow);
  const endAnswers = registration ? answerServiceWorker(base, engineHost, connection) : () => {};
  /** What was heard last of this page's service worker, if it has changed. */
  const heard: { interceptsNot?: string | null } = {};
  const endControl = registration
    ? watchControl(registration, serviceWorkerUrl(base), (interceptsNot) => {
        heard.interceptsNot = interceptsNot;
        if (status.state === 'ready') update(interception(interceptsNot));
      })
    : () => {};

  const endFreezing = registration ? watchFreezing() : () => {};

  const stop = async () => {
    removeEventListener('pagehide', onHide);
    removeEventListener('pageshow', onShow);
    endAnswers();
    endControl();
    endFreezing();
    stopped.abort(new LlamatabError('unavailable_error', 'This server was stopped: call serve() again.'));
    connection.close();
    settings.close();
    engineHost.withdraw();
    update({ state: 'stopped', role: 'none' });
    listeners.clear();
  };

  const told = registration ? settings.tell() : undefined;
  engineHost.stand();
  watchHost();
  try {
    const [, { versions, control }] = await Promise.all([
      findHost(),
      registration ? controlled(registration) : { versions: reason, control: null },
    ]);
    // Another call in this page may run the engine.
    void settings.confirm();
    await told;
    if (versions === null && control === null && options.isolate && registration?.active) {
      const limit = await isolate(base, registration.active, site.isolationPolicy);
      if (limit !== null) update({ limits: [...status.limits, limit] });
    }
    const interceptsNot = versions ?? (heard.interceptsNot === undefined ? control : heard.interceptsNot);
    update({ state: 'ready', role: engineHost.hosting ? 'host' : 'guest', ...interception(interceptsNot) });
  } catch (error) {
    await stop();
    throw LlamatabError.from(error);
  }

  const keepOffline = registration ? createKeeper(() => engineHost.deploy, registration) : () => {};
  const requestPersistence = createPersistenceRequest();
  const onModels = (change: Partial<Watched>) => {
    update(change);
    keepOffline(status.models);
    if (options.persist !== false) requestPersistence(status.models);
  };
  let watching = false;
  const watch = async () => {
    if (watching) return;
    watching = true;
    try {
      await watchModels(send, onModels, stopped.signal);
    } catch (error) {
      update({ modelsError: LlamatabError.from(error).message });
    }
    watching = false;
  };
  watch();

  const models = createModels(send, update);
  const preload = () => {
    if (options.preload === false) return;
    models.load(options.model).catch((error) => {
      // It is in the model's status too, but during development the console is where one looks.
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

/** @param reason why the service worker does not answer this page's requests; null if it does. */
function interception(reason: string | null): Pick<ServerStatus, 'intercepts' | 'interceptsNot'> {
  if (reason === null) return { intercepts: true };
  return { intercepts: false, interceptsNot: `${reason} Pass \`server.fetch\` to your client.` };
}

/** Waits until requests of this page are answered. @returns why they are not: for its version, or because it does not control the page */
async function controlled(registration: ServiceWorkerRegistration) {
  const versions = await untilCurrent(registration);
  return { versions, control: versions === null ? await control(registration) : null };
}

/** The site's options. Those that the call leaves out are as another page has said. */
async function agreeOn(
  registration: ServiceWorkerRegistration | null,
  { isolate, nativeRoutes, intercept }: ServeOptions,
  base: string,
): Promise<SiteOptions> {
  const wanted: Partial<SiteOptions> = {
    ...(isolate === undefined ? {} : { isolate }),
    ...(nativeRoutes === undefined ? {} : { nativeRoutes }),
    ...(intercept === undefined ? {} : { intercept: interceptedAddresses(intercept, base) }),
  };
  const reply = registration?.active ? await configure(registration.active, wanted) : null;
  for (const name of reply?.replaced ?? []) {
    console.warn(
      `llamatab: this page calls serve({ ${name}: ${JSON.stringify(wanted[name])} }), and another page of the site said ` +
        `${typeof wanted[name] === 'boolean' ? !wanted[name] : 'otherwise'}. Its pages ` +
        'share one service worker, for which the last word holds: say the same on all of them, or nothing.',
    );
  }
  // A service worker of an earlier version does not know all options.
  return { isolate: false, isolationPolicy: null, nativeRoutes: false, intercept: [], ...wanted, ...reply?.options };
}

/** Web Locks go with the rest of what a site may keep: without them, tabs can't share an engine, whatever else is there. */
function isDataBlocked(): Promise<boolean> {
  return navigator.locks.query().then(
    () => false,
    () => true,
  );
}

const OTHER_KEY =
  'A page of this site that was opened after this one has another API key (serve({ apiKey })), which holds for all of them: the site ' +
  'was deployed anew. Reload the page.';

const DATA_BLOCKED =
  'This browser blocks site data here (for all sites, or for those in an iframe of another): models stay in memory and go with the tab.';

/** The service worker's registration, or the reason why there is none. Without it the server works for this page alone. */
async function tryRegister(
  base: string,
  options: ServeOptions,
): Promise<{ registration: ServiceWorkerRegistration | null; reason: string | null }> {
  const without = (reason: string) => ({ registration: null, reason });
  if (options.serviceWorker === false) return without('serve() was called with `serviceWorker: false`.');
  if (!('serviceWorker' in navigator)) return without('This browser, or this private window, has no service workers.');
  if (await isDataBlocked()) return without(DATA_BLOCKED);
  const script = serviceWorkerUrl(base);
  try {
    return { registration: await register(script, base), reason: null };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return without(`The service worker ${script} could not be registered: ${why}`);
  }
}

/**
 * Has the service worker keep the site's files for visits without a network and, once a model runs, those of the engine's build
 * that this browser uses.
 */
function createKeeper(
  deploy: () => Deploy | null,
  registration: ServiceWorkerRegistration,
): (models: ModelStatus[]) => void {
  const keep = (urls: string[]) => registration.active?.postMessage({ type: 'keep', urls } satisfies ToServiceWorker);
  let kept = false;
  keep([]);
  return (models) => {
    const runtime = models.find((model) => model.runtime)?.runtime;
    const files = deploy();
    if (kept || !runtime || !files) return;
    kept = true;
    keep(engineUrls(files, runtime));
  };
}
