/** A page that loads any number of raw wllama engines, each in a worker of its own, and answers Node's calls. */
import { type Remote, wrap } from 'comlink';
import type { EnginesPage } from '../protocol.ts';
import { answerCalls } from './answer-calls.ts';
import type { EngineWorker } from './engine-worker.ts';

const engines = new Map<string, { worker: Worker; remote: Remote<EngineWorker> }>();
const files = new Map<string, Promise<Blob>>();

function remote(engine: string): Remote<EngineWorker> {
  const found = engines.get(engine);
  if (!found) throw new Error(`No engine ${engine} is loaded.`);
  return found.remote;
}

/** The engine reads it lazily. All engines share it. */
function fileAt(url: string): Promise<Blob> {
  const known = files.get(url);
  if (known) return known;
  const file = fetch(url).then((response) => {
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    return response.blob();
  });
  files.set(url, file);
  return file;
}

answerCalls<EnginesPage>({
  async load(engine, { wasm, script, model, parameters }) {
    const worker = new Worker(new URL('./engine-worker.ts', import.meta.url), { type: 'module' });
    engines.set(engine, { worker, remote: wrap<EngineWorker>(worker) });
    await remote(engine).load(wasm, script, await fileAt(model), parameters);
  },
  complete: (engine, prompts, options) => remote(engine).complete(prompts, options),
  embed: (engine, text) => remote(engine).embed(text),
  score: (engine, prompt, tokens) => remote(engine).score(prompt, tokens),
  async unload(engine) {
    await remote(engine).exit();
    engines.get(engine)?.worker.terminate();
    engines.delete(engine);
  },
});
