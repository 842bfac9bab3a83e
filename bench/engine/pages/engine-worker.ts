/** wllama in a worker, as llamatab's engine is. */
import { type LoadModelParams, type RawCompletionParams, Wllama } from '@wllama/wllama/esm/index.js';
import { expose } from 'comlink';
import type { Completion, CompletionOptions, Continuations, Embedding } from '../protocol.ts';

/** What wllama's types leave out of llama-server's answer. */
interface ServerCompletion {
  choices: [{ text: string; logprobs: { content: [{ top_logprobs: { token: string; logprob: number }[] }] } }];
  timings: { prompt_n: number; prompt_ms: number; predicted_n: number; predicted_ms: number };
}

const CANDIDATES = 1000;

const silent = { debug() {}, log() {}, warn() {}, error: console.error };
let wllama: Wllama;

async function request(parameters: object): Promise<ServerCompletion> {
  const fixed = { temperature: 0, seed: 42, ignore_eos: true, stream: false };
  const answer: unknown = await wllama.createCompletion({ ...fixed, ...parameters } as RawCompletionParams & {
    stream?: false;
  });
  return answer as ServerCompletion;
}

const worker = {
  async load(wasm: string, model: Blob, parameters: LoadModelParams): Promise<void> {
    wllama = new Wllama({ default: wasm }, { logger: silent });
    await wllama.loadModel([model], parameters);
    // wllama does not say when it can't.
    if (!(wllama.getLoadedContextInfo().n_vocab > 0)) throw new Error('The model was not loaded.');
    const threads = wllama.getNumThreads();
    if (threads !== parameters.n_threads) throw new Error(`It runs ${threads} threads, not ${parameters.n_threads}.`);
  },

  complete: (prompts: string[], { tokens, cachePrompt }: CompletionOptions): Promise<Completion[]> =>
    Promise.all(
      prompts.map(async (prompt) => {
        const { choices, timings } = await request({ prompt, max_tokens: tokens, cache_prompt: cachePrompt });
        if (timings.predicted_n !== tokens) throw new Error(`${timings.predicted_n} tokens came, not ${tokens}.`);
        return {
          promptTokens: timings.prompt_n,
          promptMs: timings.prompt_ms,
          decodedTokens: tokens - 1,
          decodeMs: timings.predicted_ms,
          text: choices[0].text,
        };
      }),
    ),

  async embed(input: string): Promise<Embedding> {
    const start = performance.now();
    const { data, usage } = await wllama.createEmbedding({ input });
    const milliseconds = performance.now() - start;
    return { tokens: usage.prompt_tokens, milliseconds, vector: data[0]?.embedding as number[] };
  },

  async continuations(text: string, offsets: number[]): Promise<Continuations[]> {
    const found: Continuations[] = [];
    for (const offset of offsets) {
      const prompt = text.slice(0, offset);
      const { choices } = await request({ prompt, max_tokens: 1, logprobs: CANDIDATES, cache_prompt: true });
      const candidates = choices[0].logprobs.content[0].top_logprobs;
      const fitting = candidates.filter(({ token }) => token && text.startsWith(token, offset));
      found.push(Object.fromEntries(fitting.map(({ token, logprob }) => [token, logprob])));
    }
    return found;
  },

  exit: () => wllama.exit(),
};

export type EngineWorker = typeof worker;
expose(worker);
