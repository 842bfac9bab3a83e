/** wllama in a worker, like llamatab's engine. */
import { type LoadModelParams, type RawCompletionParams, Wllama } from '@wllama/wllama/esm/index.js';
import { expose } from 'comlink';
import type { Completion, CompletionOptions, Embedding, ScoredToken } from '../protocol.ts';

/** What wllama's types leave out of llama-server's answer. */
interface ServerCompletion {
  choices: [{ text: string; logprobs: { content: ScoredToken[] } }];
  timings: {
    prompt_n: number;
    prompt_ms: number;
    predicted_n: number;
    predicted_ms: number;
    draft_n?: number;
    draft_n_accepted?: number;
  };
}

/** llama.cpp gives its reasons for refusing a model in its log only, and wllama then fails with an unrelated error. */
let lastError = '';
const logger = {
  debug() {},
  log() {},
  warn() {},
  error(line: unknown) {
    lastError += `${String(line).slice(0, 300)}\n`;
  },
};
let wllama: Wllama;

async function request(parameters: object): Promise<ServerCompletion> {
  const fixed = { temperature: 0, seed: 42, ignore_eos: true, stream: false };
  const body = { ...fixed, ...parameters } as RawCompletionParams & { stream?: false };
  const answer: unknown = await wllama.createCompletion(body).catch((error) => {
    throw new Error(`${error}; ${lastError}`);
  });
  return answer as ServerCompletion;
}

const worker = {
  async load(wasm: string, script: string | null, model: Blob, parameters: LoadModelParams): Promise<void> {
    const other = script === null ? { Wllama } : await import(/* @vite-ignore */ script);
    wllama = new other.Wllama({ default: wasm }, { logger });
    await wllama.loadModel([model], parameters);
    // wllama does not throw if this fails.
    if (!(wllama.getLoadedContextInfo().n_vocab > 0)) throw new Error('The model was not loaded.');
    const threads = wllama.getNumThreads();
    if (threads !== parameters.n_threads)
      throw new Error(`wllama runs ${threads} threads instead of ${parameters.n_threads}.`);
  },

  complete: (prompts: string[], { tokens, cachePrompt }: CompletionOptions): Promise<Completion[]> =>
    Promise.all(
      prompts.map(async (prompt) => {
        const { choices, timings } = await request({ prompt, max_tokens: tokens, cache_prompt: cachePrompt });
        if (timings.predicted_n !== tokens) throw new Error(`${timings.predicted_n} tokens came instead of ${tokens}.`);
        return {
          promptTokens: timings.prompt_n,
          promptMs: timings.prompt_ms,
          decodedTokens: tokens - 1,
          decodeMs: timings.predicted_ms,
          drafted: timings.draft_n ?? 0,
          accepted: timings.draft_n_accepted ?? 0,
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

  async score(prompt: string, tokens: number[]): Promise<ScoredToken[]> {
    // A grammar that allows these tokens and no others. The logprobs are those from before it.
    const grammar = `root ::= ${tokens.map((token) => `<[${token}]>`).join(' ')}`;
    const parameters = { prompt, max_tokens: tokens.length, grammar, n_probs: 1, cache_prompt: false };
    const { choices } = await request(parameters);
    const scored = choices[0].logprobs.content.map(({ id, token, logprob }) => ({ id, token, logprob }));
    if (scored.length !== tokens.length || scored.some(({ id }, i) => id !== tokens[i])) {
      throw new Error(`The model wrote ${JSON.stringify(scored)}`);
    }
    return scored;
  },

  exit: () => wllama.exit(),
};

export type EngineWorker = typeof worker;
expose(worker);
