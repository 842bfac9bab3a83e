/** This page's engine worker: it stands for election and, once elected, hosts the engine for the whole site. */
import { proxy, type Remote, transfer, wrap } from 'comlink';
import { watchPolicy } from '../content-policy.ts';
import { LlamatabError, reloadNeeded } from '../errors.ts';
import type { EnginePage, EngineWorker, EngineWorkerConfig } from '../protocol.ts';
import { decodeAudio } from './decode-audio.ts';
import { type Deploy, readDeploy } from './deploy.ts';

const policy = watchPolicy();

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
}

/**
 * @param base absolute URL of the site's base.
 * @param onHosting called each time this page is elected.
 */
export function createEngineHost(
  base: string,
  config: Omit<EngineWorkerConfig, 'assets'>,
  onHosting: () => void,
): EngineHost {
  /** The worker that stands or hosts. */
  let current: { worker: Worker; remote: Remote<EngineWorker> } | null = null;
  let deploy: Deploy | null = null;
  let elected: Promise<void> = Promise.reject(new Error('not standing'));
  elected.catch(() => {});
  let state: 'away' | 'standing' | 'hosting' | 'failed' = 'away';
  /** Counts how often this page has stood: what belongs to an earlier time is void. */
  let term = 0;

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
    const page: EnginePage = { decodeAudio, isCurrent: () => isCurrent(started) };
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
        onHosting();
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
  };
}
