/** Times a model that nothing else uses: a short prompt and a few tokens, a few times. */
import type { EngineModel, LoadedModel, Rates } from './engine.ts';

/** About 24 tokens: short, and still computed many at a time. */
const PROMPT =
  'The river rises in the hills, runs through three towns and a lake, and reaches the sea by a wide delta.';

/** Tokens to generate. */
const TOKENS = 12;

/** Milliseconds, at least: browsers run wasm as it comes at first, and compile it well meanwhile. */
const WARM_UP = 500;

/**
 * Samples at most, of which the median counts, and milliseconds after which none is begun: a small model, at 50 tokens a
 * second, then computes for 2 seconds, and a slow one no more than it must.
 */
const SAMPLES = 5;
const BUDGET = 1_000;

/** @param now milliseconds. */
export async function measureRates(
  model: Pick<LoadedModel, 'complete' | 'embed'>,
  kind: EngineModel['kind'],
  signal: AbortSignal,
  now: () => number = () => performance.now(),
): Promise<Rates> {
  const sample = () => (kind === 'embedding' ? sampleEmbedding(model, signal, now) : sampleCompletion(model, signal));
  let start = now();
  do await sample();
  while (now() - start < WARM_UP);
  const samples: Rates[] = [];
  start = now();
  do samples.push(await sample());
  while (samples.length < SAMPLES && now() - start < BUDGET);
  return {
    prompt_per_second: median(samples.map((rates) => rates.prompt_per_second)),
    predicted_per_second:
      kind === 'embedding' ? null : median(samples.map((rates) => rates.predicted_per_second as number)),
  };
}

async function sampleCompletion(model: Pick<LoadedModel, 'complete'>, signal: AbortSignal): Promise<Rates> {
  const body = {
    prompt: PROMPT,
    max_tokens: TOKENS,
    ignore_eos: true,
    temperature: 0,
    // Or there is no prompt to compute the second time.
    cache_prompt: false,
    stream: false,
  };
  for await (const { timings } of model.complete({ kind: 'text', body, signal })) {
    const { prompt_per_second, predicted_per_second } = timings as Rates;
    return { prompt_per_second, predicted_per_second };
  }
  throw new Error('llama.cpp ended without a result.');
}

async function sampleEmbedding(
  model: Pick<LoadedModel, 'embed'>,
  signal: AbortSignal,
  now: () => number,
): Promise<Rates> {
  const start = now();
  const { tokens } = await model.embed({ input: PROMPT, normalize: 2, signal });
  return { prompt_per_second: (tokens / (now() - start)) * 1000, predicted_per_second: null };
}

/** The middle one; of an even number, the upper of the two. */
export function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
