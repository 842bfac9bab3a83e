/**
 * This page's engine worker: it stands for election and, once elected, hosts the engine for the whole site. Calls of `serve()` with
 * the same options share one, which ends with the last of them.
 */
import { proxy, type Remote, transfer, wrap } from 'comlink';
import { watchPolicy } from '../content-policy.ts';
import { LlamatabError } from '../errors.ts';
import type { EnginePage, EngineWorker, EngineWorkerConfig } from '../protocol.ts';
import { decodeAudio } from './decode-audio.ts';

const policy = watchPolicy();

/** Times that this page may take the place of a host that does not run: where that does not help, more of it won't. */
const MAX_TAKEOVERS = 3;
/** Milliseconds after which one is forgotten. */
const TAKEOVER_MEMORY = 600_000;

export interface EngineHost {
  readonly hosting: boolean;
  /** Resolves when this page becomes the host, which may never happen. Rejects if its worker can't start. */
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

type Engine = Pick<EngineHost, 'hosting' | 'whenHosting' | 'connect' | 'takeOver'> & {
  start(): void;
  stop(): void;
  /** Those that stand. */
  listeners: Set<EngineHostListener>;
};

/** By what they are made from. */
const engines = new Map<string, Engine>();

/** @param workerUrl absolute URL of `llamatab/worker.js`. */
export function createEngineHost(
  workerUrl: string,
  config: EngineWorkerConfig,
  listener: EngineHostListener,
): EngineHost {
  const key = JSON.stringify([workerUrl, config]);
  const engine = engines.get(key) ?? createEngine(workerUrl, config);
  engines.set(key, engine);
  return {
    get hosting() {
      return engine.listeners.has(listener) && engine.hosting;
    },
    whenHosting: engine.whenHosting,
    connect: engine.connect,
    takeOver: engine.takeOver,
    withdraw() {
      if (engine.listeners.delete(listener) && engine.listeners.size === 0) engine.stop();
    },
    stand() {
      engine.listeners.add(listener);
      if (engine.listeners.size === 1) engine.start();
    },
  };
}

function createEngine(workerUrl: string, config: EngineWorkerConfig): Engine {
  const listeners = new Set<EngineHostListener>();
  let worker: Worker | null = null;
  let remote: Remote<EngineWorker> | null = null;
  let elected: Promise<void> = Promise.reject(new Error('not standing'));
  elected.catch(() => {});
  let hosting = false;
  let takeovers: number[] = [];

  function start() {
    const own = new Worker(workerUrl, { type: 'module', name: 'llamatab engine' });
    const ownRemote = wrap<EngineWorker>(own);
    worker = own;
    remote = ownRemote;
    const page = proxy<EnginePage>({
      decodeAudio,
      onReplaced() {
        if (worker !== own) return;
        stop();
        start();
        for (const listener of [...listeners]) listener.onReplaced();
      },
    });
    const failed = new Promise<never>((_, reject) => {
      // The only sign of a script that can't be loaded.
      own.addEventListener('error', (event) => {
        const reason = event.message || 'it could not be loaded';
        reject(
          new LlamatabError(
            'unavailable_error',
            `The engine worker ${workerUrl} failed: ${reason}. ${
              policy.remedy ?? 'Is the file there (the Vite plugin adds it), and is `base` right?'
            }`,
          ),
        );
      });
    });
    elected = Promise.race([ownRemote.start(config, page), failed]).then(() => {
      if (worker !== own) return;
      hosting = true;
      for (const listener of [...listeners]) listener.onHosting();
    });
    elected.catch(() => {});
  }

  function stop() {
    // Frees the election's lock at once, and keeps the page fit for the back/forward cache.
    worker?.terminate();
    worker = null;
    remote = null;
    hosting = false;
  }

  return {
    listeners,
    start,
    stop,
    get hosting() {
      return hosting;
    },
    whenHosting: () => elected,
    connect(trunk) {
      remote?.connect(transfer(trunk, [trunk]));
    },
    takeOver(host) {
      const now = performance.now();
      takeovers = takeovers.filter((time) => now - time < TAKEOVER_MEMORY);
      if (hosting || remote === null || takeovers.length >= MAX_TAKEOVERS) return;
      takeovers.push(now);
      remote.takeOver(host);
    },
  };
}
