/** wllama as its documentation shows it, in a worker like llamatab's engine. Times are taken here, without the hop to the page. */
import { type LoadModelParams, Wllama } from '@wllama/wllama/esm/index.js';
import { expose } from 'comlink';
import { type Completion, complete } from './completion.ts';

export interface RawSetup {
  /** URLs of the GGUF file and of the engine. */
  model: string;
  wasm: string;
  parameters: LoadModelParams;
}

const silent = { debug() {}, log() {}, warn() {}, error: console.error };
let wllama: Wllama;

const worker = {
  async load({ model, wasm, parameters }: RawSetup): Promise<void> {
    wllama = new Wllama({ default: wasm }, { logger: silent });
    await wllama.loadModelFromUrl(model, parameters);
    const threads = wllama.getNumThreads();
    if (threads !== parameters.n_threads)
      throw new Error(`wllama runs ${threads} threads instead of ${parameters.n_threads}.`);
  },
  complete: (prompts: string[], tokens: number): Promise<Completion[]> =>
    Promise.all(prompts.map((prompt) => complete(prompt, tokens, (request) => wllama.createChatCompletion(request)))),
};

export type RawWorker = typeof worker;
expose(worker);
