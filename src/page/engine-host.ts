/**
 * This page's engine worker: it stands for election and, once elected, hosts the engine for the whole site. Calls of `serve()` with
 * the same options share one, which ends with the last of them.
 */
import { proxy, type Remote, transfer, wrap } from 'comlink';
import { watchPolicy } from '../content-policy.ts';
import { LlamatabError, reloadNeeded } from '../errors.ts';
import type { EnginePage, EngineSettings, EngineWorker } from '../protocol.ts';
import { aliveLock, whenReleased } from '../transport/locks.ts';
import { decodeAudio } from './decode-audio.ts';
import { type Deploy, readDeploy } from './deploy.ts';

const policy = watchPolicy();

/** Milliseconds between looks at whether an engine is idle that has to be replaced. */
const IDLE_POLL = 1_000;
/**
 * Milliseconds in which a worker has to be there, and, elected, to have the engine's code; twice as many after each that is late, as
 * the network may be slow. A service worker that is stopped takes the files with it that it was fetching, and Chromium (156) does not
 * always tell: they neither come nor fail, and the whole site would wait for a host that never begins.
 */
const START_LIMIT = 15_000;
/** Times that this page may take the place of a host that does not run: where that does not help, more of it won't. */
const MAX_TAKEOVERS = 3;
/** Milliseconds after which one is forgotten. */
const TAKEOVER_MEMORY = 600_000;

export interface EngineHost {
  readonly hosting: boolean;
  /** Of the worker that was started last; null before the first. */
  readonly deploy: Deploy | null;
  /** Resolves when this page becomes the host, which may never happen. Rejects if its worker can't start; asked again, it tries again. */
  whenHosting(): Promise<void>;
  /** Hands a trunk to the worker. Only while hosting. */
  connect(trunk: MessagePort): void;
  /**
   * Has the engine go by other settings, and by the site's current deploy: at once, or, where that takes a new worker, when it is idle.
   * @returns whether it does; false if this page does not host.
   */
  adopt(settings: EngineSettings): Promise<boolean>;
  /** Lets go of the engine, until `stand()`. */
  withdraw(): void;
  /** Stands for election (again). */
  stand(): void;
  /** Takes the place of a host that does not run. @param host its id, if its worker answers */
  takeOver(host: string | undefined): void;
}

/** What happens to a page that stands for election. */
export interface EngineHostListener {
  /** Those that an engine of this page goes by. */
  settings(): EngineSettings;
  /** It was elected; each time. */
  onHosting(): void;
  /** Another tab took its worker for dead, or it let go of the engine. It stands again, behind the others. */
  onReplaced(): void;
}

interface Running {
  worker: Worker;
  remote: Remote<EngineWorker>;
}

/** A worker is not there, or has not begun, within the limit. */
class Late extends Error {}

interface Engine extends EngineHost {
  /** Of those that stand. */
  readonly listeners: Set<EngineHostListener>;
}

/** By what they are made from. */
const engines = new Map<string, Engine>();

/**
 * @param base absolute URL of the site's base.
 * @param solo whether no other tab can share the engine.
 * @param own what this call says of the engine.
 */
export function createEngineHost(
  base: string,
  solo: boolean,
  own: EngineSettings,
  listener: EngineHostListener,
): EngineHost {
  const key = JSON.stringify([base, solo, own]);
  const engine = engines.get(key) ?? createEngine(base, solo, own);
  engines.set(key, engine);
  const { listeners, whenHosting, connect, takeOver } = engine;
  return {
    get hosting() {
      return listeners.has(listener) && engine.hosting;
    },
    get deploy() {
      return engine.deploy;
    },
    whenHosting,
    connect,
    takeOver,
    async adopt(settings) {
      return listeners.has(listener) && engine.adopt(settings);
    },
    withdraw() {
      if (listeners.delete(listener) && listeners.size === 0) engine.withdraw();
    },
    stand() {
      listeners.add(listener);
      if (listeners.size === 1) engine.stand();
    },
  };
}

function createEngine(base: string, solo: boolean, own: EngineSettings): Engine {
  const listeners = new Set<EngineHostListener>();
  /** The worker that stands or hosts. */
  let current: Running | null = null;
  /** The one that ends when it is idle. */
  let leaving: Running | null = null;
  let deploy: Deploy | null = null;
  let elected = createOutcome();
  let state: 'away' | 'standing' | 'hosting' | 'failed' = 'away';
  /** Counts how often this page has stood: what belongs to an earlier time is void. */
  let term = 0;
  let takeovers: number[] = [];
  /** The one that tries to take a host's place just now. */
  let takingOver: Running | null = null;
  let startLimit = START_LIMIT;

  /** Starts the worker of a deploy; resolves once it hosts. */
  async function start(started: Deploy): Promise<string> {
    const { workerUrl, assets } = started;
    const failure = async (reason: string) => {
      const what = `The engine worker ${workerUrl} failed: ${reason}`;
      const remedy = await policy.remedyOfFailure();
      return remedy === null ? reloadNeeded(what) : new LlamatabError('unavailable_error', `${what}. ${remedy}`);
    };
    let worker: Worker;
    try {
      worker = new Worker(workerUrl, { type: 'module', name: 'llamatab engine' });
    } catch (error) {
      // WebKit, where a policy forbids it.
      throw await failure((error as Error).message);
    }
    const remote = wrap<EngineWorker>(worker);
    current = { worker, remote };
    deploy = started;
    const failed = new Promise<never>((_, reject) => {
      // The only sign of a script that can't be loaded.
      worker.addEventListener('error', async ({ message }) =>
        reject(await failure(message || 'it could not be loaded')),
      );
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    let limit = () => {};
    const late = new Promise<never>((_, reject) => {
      limit = () => {
        clearTimeout(timer);
        timer = setTimeout(() => reject(new Late()), startLimit);
      };
    });
    const page: EnginePage = {
      decodeAudio,
      async onElected() {
        limit();
        return (await isOver(started)) ? null : { ...settings(), assets };
      },
      async isCurrent() {
        if (!(await isOver(started))) return true;
        if (current?.worker === worker) void replaceWhenIdle(current);
        return false;
      },
      onReplaced() {
        if (current?.worker === worker) standAgain();
      },
    };
    limit();
    const untilThere = timer;
    // Any answer shows that it is.
    remote.isIdle().then(() => clearTimeout(untilThere));
    return Promise.race([remote.start(base, solo, proxy(page)), failed, late]).finally(() => clearTimeout(timer));
  }

  /** Of the calls that share the worker, the last one knows best. */
  const settings = () => [...listeners].at(-1)?.settings() ?? own;

  /** Whether the site has another deploy now. Without a network there is none to be had. */
  function isOver({ workerUrl }: Deploy): Promise<boolean> {
    return readDeploy(base).then(
      (now) => now.workerUrl !== workerUrl,
      (error) => error.details.reload === true,
    );
  }

  function standAgain() {
    stand();
    for (const listener of [...listeners]) listener.onReplaced();
  }

  /** Ends a host that can't go by what holds now, once that cuts nothing off. Whoever is elected next can. */
  async function replaceWhenIdle(host: Running): Promise<void> {
    if (leaving === host) return;
    leaving = host;
    while (host === current) {
      const isIdle = await host.remote.isIdle();
      if (host !== current) return;
      if (isIdle) standAgain();
      else await new Promise((resolve) => setTimeout(resolve, IDLE_POLL));
    }
  }

  /** Stands with the worker of the current deploy; where there is a later one by the time it is elected, with that. */
  async function run(ownTerm: number): Promise<void> {
    const isVoid = () => term !== ownTerm;
    const forever = () => new Promise<never>(() => {});
    let next = await readDeploy(base);
    for (;;) {
      if (isVoid()) return forever();
      const started = next;
      try {
        const host = await start(started);
        if (isVoid()) return forever();
        // A browser that lacks memory may end a worker and leave its page, and no event tells of it.
        void whenReleased(aliveLock(host)).then(() => isVoid() || standAgain());
        return;
      } catch (error) {
        if (isVoid()) return forever();
        end();
        if (error instanceof Late) {
          startLimit *= 2;
          next = await readDeploy(base);
          continue;
        }
        // Comlink has made a plain error of the worker's.
        const reason = error instanceof LlamatabError ? error : reloadNeeded(String((error as Error).message), error);
        next = await readDeploy(base);
        if (next.workerUrl === started.workerUrl) throw reason;
      }
    }
  }

  function stand() {
    withdraw();
    const ownTerm = ++term;
    state = 'standing';
    run(ownTerm).then(
      () => {
        state = 'hosting';
        elected.resolve();
        for (const listener of [...listeners]) listener.onHosting();
      },
      (error) => {
        if (term !== ownTerm) return;
        state = 'failed';
        elected.reject(error);
      },
    );
  }

  function end() {
    // Frees the election's lock at once, and keeps the page fit for the back/forward cache.
    current?.worker.terminate();
    current = null;
  }

  function withdraw() {
    term++;
    end();
    // Whoever waits goes on to wait, whichever worker it will be.
    if (state === 'hosting' || state === 'failed') elected = createOutcome();
    state = 'away';
  }

  return {
    listeners,
    get hosting() {
      return state === 'hosting';
    },
    get deploy() {
      return deploy;
    },
    whenHosting() {
      // What was missing may be there now: a deploy is not done in one moment, and a network comes back.
      if (state === 'failed') stand();
      return elected.promise;
    },
    connect(trunk) {
      current?.remote.connect(transfer(trunk, [trunk]));
    },
    async adopt(settings) {
      const host = current;
      if (state !== 'hosting' || host === null) return false;
      const [adopted, later] = await Promise.all([
        host.remote.adopt(settings),
        // One that this page can't run is no reason to end an engine that answers.
        readDeploy(base).catch(() => null),
      ]);
      if (adopted && (later === null || later.workerUrl === deploy?.workerUrl)) return true;
      void replaceWhenIdle(host);
      return false;
    },
    withdraw,
    stand,
    takeOver(host) {
      const now = performance.now();
      takeovers = takeovers.filter((time) => now - time < TAKEOVER_MEMORY);
      // It is noticed by several at once: by each call of `serve()`, and by the service worker.
      if (state !== 'standing' || current === null || current === takingOver) return;
      if (takeovers.length >= MAX_TAKEOVERS) return;
      const candidate = current;
      takingOver = candidate;
      const settle = (took: boolean) => {
        if (took) takeovers.push(now);
        if (takingOver === candidate) takingOver = null;
      };
      // It rejects where another tab has passed it over.
      candidate.remote.takeOver(host).then(settle, () => settle(false));
    },
  };
}

/** A promise to be settled from outside. */
function createOutcome() {
  let resolve = () => {};
  let reject = (_: unknown) => {};
  const promise = new Promise<void>((...settle) => {
    [resolve, reject] = settle;
  });
  // It may be that nobody waits.
  promise.catch(() => {});
  return { promise, resolve, reject };
}
