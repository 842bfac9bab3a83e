/** What can happen to the engine's own worker, made to happen from outside. */
import { readFileSync } from 'node:fs';
import { path, runtimeFile } from './paths.ts';
import type { SiteServer } from './site-server.ts';

/** In a request's text: the engine never comes back from it. */
export const BLOCKS = 'this blocks the engine';

/** A message to every engine worker of the site, over the channel of this name. */
export type EngineFault =
  /** The browser ends the worker that llama.cpp runs in, and says nothing. */
  | { type: 'end' }
  /** It crashes, with this as its last words. */
  | { type: 'crash'; reason: string }
  /** IndexedDB opens nothing for a while. */
  | { type: 'database'; milliseconds: number };

export const FAULTS_CHANNEL = 'engine-faults';

/** Serves an engine worker that is open to faults. */
export function openToFaults(site: SiteServer): void {
  const file = runtimeFile('worker.js');
  const worker = readFileSync(path(`dist/site${file}`), 'utf8');
  site.put(file, `(${hook})(${JSON.stringify({ BLOCKS, FAULTS_CHANNEL })});\n${worker}`);
}

/** Runs in the engine worker, before anything else. */
function hook({ BLOCKS, FAULTS_CHANNEL }: { BLOCKS: string; FAULTS_CHANNEL: string }): void {
  const NativeWorker = globalThis.Worker;
  let latest: Worker | undefined;
  let failsUntil = 0;
  const { open } = IDBFactory.prototype;
  IDBFactory.prototype.open = function (...args) {
    if (performance.now() < failsUntil) throw new DOMException('Internal error.', 'UnknownError');
    return open.apply(this, args);
  };
  class OpenWorker extends NativeWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      latest = this;
    }
    override postMessage(message: unknown, options?: unknown): void {
      const { args } = message as { args?: unknown[] };
      const text = args?.[1] instanceof Uint8Array ? new TextDecoder().decode(args[1]) : '';
      if (!text.includes(BLOCKS)) super.postMessage(message, options as StructuredSerializeOptions);
    }
  }
  globalThis.Worker = OpenWorker;
  new BroadcastChannel(FAULTS_CHANNEL).onmessage = ({ data }: MessageEvent<EngineFault>) => {
    switch (data.type) {
      case 'end':
        return latest?.terminate();
      case 'crash':
        return void latest?.dispatchEvent(new ErrorEvent('error', { message: data.reason }));
      case 'database':
        failsUntil = performance.now() + data.milliseconds;
    }
  };
}
