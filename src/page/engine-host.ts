/**
 * This page's engine worker: it stands for election and, once elected, hosts the engine for the whole site. Calls of `serve()` with
 * the same options share one, which ends with the last of them.
 */
import { proxy, type Remote, transfer, wrap } from 'comlink';
import { watchPolicy } from '../content-policy.ts';
import { LlamatabError, reloadNeeded } from '../errors.ts';
import type { EnginePage, EngineWorker, EngineWorkerConfig } from '../protocol.ts';
import { decodeAudio } from './decode-audio.ts';
import { type Deploy, readDeploy } from './deploy.ts';

const policy = watchPolicy();

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
  /** Lets go of the engine, until `stand()`. */
  withdraw(): void;
  /** Stands for election (again). */
  stand(): void;
  /** Takes the place of a host that does not run. @param host its id, if its worker answers */
  takeOver(host: string | undefined): void;
}

/** What happens to a page that stands for election. */
export interface EngineHostListener {
  /** It was elected; each time. */
  onHosting(): void;
  /** Another tab took its worker for dead. It stands again, behind the others. */
  onReplaced(): void;
}

interface Engine extends EngineHost {
  /** Of those that stand. */
  readonly listeners: Set<EngineHostListener>;
}

/** By what they are made from. */
const engines = new Map<string, Engine>();

/** @param base absolute URL of the site's base. */
export function createEngineHost(
  base: string,
  config: Omit<EngineWorkerConfig, 'assets'>,
  listener: EngineHostListener,
): EngineHost {
  const key = JSON.stringify([base, config]);
  const engine = engines.get(key) ?? createEngine(base, config);
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
    withdraw() {
      if (listeners.delete(listener) && listeners.size === 0) engine.withdraw();
    },
    stand() {
      listeners.add(listener);
      if (listeners.size === 1) engine.stand();
    },
  };
}

function createEngine(base: string, config: Omit<EngineWorkerConfig, 'assets'>): Engine {
  const listeners = new Set<EngineHostListener>();
  /** The worker that stands or hosts. */
  let current: { worker: Worker; remote: Remote<EngineWorker> } | null = null;
  let deploy: Deploy | null = null;
  let elected: Promise<void> = Promise.reject(new Error('not standing'));
  elected.catch(() => {});
  let state: 'away' | 'standing' | 'hosting' | 'failed' = 'away';
  /** Counts how often this page has stood: what belongs to an earlier time is void. */
  let term = 0;
  let takeovers: number[] = [];

  /** Starts the worker of a deploy; resolves once it hosts. */
  function start(started: Deploy): Promise<string> {
    const { workerUrl, assets } = started;
    const worker = new Worker(workerUrl, { type: 'module', name: 'llamatab engine' });
    const remote = wrap<EngineWorker>(worker);
    current = { worker, remote };
    deploy = started;
    const failed = new Promise<never>((_, reject) => {
      // The only sign of a script that can't be loaded.
      worker.addEventListener('error', (event) => {
        const reason = event.message || 'it could not be loaded';
        const failure = `The engine worker ${workerUrl} failed: ${reason}`;
        reject(
          policy.remedy === null
            ? reloadNeeded(failure)
            : new LlamatabError('unavailable_error', `${failure}. ${policy.remedy}`),
        );
      });
    });
    const page: EnginePage = {
      decodeAudio,
      isCurrent: () => isCurrent(started),
      onReplaced() {
        if (current?.worker !== worker) return;
        stand();
        for (const listener of [...listeners]) listener.onReplaced();
      },
    };
    return Promise.race([remote.start({ ...config, assets }, proxy(page)), failed]);
  }

  async function isCurrent({ workerUrl }: Deploy): Promise<boolean> {
    try {
      return (await readDeploy(base)).workerUrl === workerUrl;
    } catch (error) {
      // Without a network there is no other deploy to be had.
      return !(error instanceof LlamatabError && error.details.reload);
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
        await start(started);
        return isVoid() ? forever() : undefined;
      } catch (error) {
        if (isVoid()) return forever();
        end();
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
    elected = run(ownTerm).then(
      () => {
        state = 'hosting';
        for (const listener of [...listeners]) listener.onHosting();
      },
      (error) => {
        if (term === ownTerm) state = 'failed';
        throw error;
      },
    );
    elected.catch(() => {});
  }

  function end() {
    // Frees the election's lock at once, and keeps the page fit for the back/forward cache.
    current?.worker.terminate();
    current = null;
  }

  function withdraw() {
    term++;
    end();
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
      return elected;
    },
    connect(trunk) {
      current?.remote.connect(transfer(trunk, [trunk]));
    },
    withdraw,
    stand,
    takeOver(host) {
      const now = performance.now();
      takeovers = takeovers.filter((time) => now - time < TAKEOVER_MEMORY);
      if (state !== 'standing' || current === null || takeovers.length >= MAX_TAKEOVERS) return;
      takeovers.push(now);
      current.remote.takeOver(host);
    },
  };
}
