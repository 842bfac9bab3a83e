/** This page's engine worker: it stands for election and, once elected, hosts the engine for the whole site. */
import { proxy, type Remote, transfer, wrap } from 'comlink';
import { watchPolicy } from '../content-policy.ts';
import { LlamatabError } from '../errors.ts';
import type { EnginePage, EngineWorker, EngineWorkerConfig } from '../protocol.ts';
import { decodeAudio } from './decode-audio.ts';

const policy = watchPolicy();

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
}

/**
 * @param workerUrl absolute URL of `llamatab/worker.js`.
 * @param onHosting called each time this page is elected.
 */
export function createEngineHost(workerUrl: string, config: EngineWorkerConfig, onHosting: () => void): EngineHost {
  let worker: Worker | null = null;
  let remote: Remote<EngineWorker> | null = null;
  let elected: Promise<void> = Promise.reject(new Error('not standing'));
  elected.catch(() => {});
  let hosting = false;
  const page = proxy<EnginePage>({ decodeAudio });

  function stand() {
    withdraw();
    const own = new Worker(workerUrl, { type: 'module', name: 'llamatab engine' });
    const ownRemote = wrap<EngineWorker>(own);
    worker = own;
    remote = ownRemote;
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
      onHosting();
    });
    elected.catch(() => {});
  }

  function withdraw() {
    // Frees the election's lock at once, and keeps the page fit for the back/forward cache.
    worker?.terminate();
    worker = null;
    remote = null;
    hosting = false;
  }

  return {
    get hosting() {
      return hosting;
    },
    whenHosting: () => elected,
    connect(trunk) {
      remote?.connect(transfer(trunk, [trunk]));
    },
    withdraw,
    stand,
  };
}
