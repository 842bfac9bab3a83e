import { describe, expect, it } from 'vitest';
import type { CompletionRequest, Json } from './engine.ts';
import { measureRates, median } from './measure-rates.ts';

const { signal } = new AbortController();

/** A model whose samples have these rates, in order, and take so many milliseconds each. */
function fakeModel(rates: number[], duration = 1) {
  let time = 0;
  let asked = 0;
  const requests: CompletionRequest[] = [];
  return {
    requests,
    now: () => time,
    async *complete(request: CompletionRequest): AsyncGenerator<Json> {
      requests.push(request);
      time += duration;
      const rate = rates[asked++];
      yield { timings: { prompt_per_second: rate, predicted_per_second: (rate ?? 0) / 10, predicted_n: 16 } };
    },
    async embed() {
      asked++;
      time += duration;
      return { embedding: [1], tokens: 40 };
    },
    get asked() {
      return asked;
    },
  };
}

describe('measureRates', () => {
  it('is the median of a few samples', async () => {
    const model = fakeModel([1, 1, 1, 1, 1, 50, 900, 30, 40, 60], 100);
    expect(await measureRates(model, 'completion', signal, model.now)).toEqual({
      prompt_per_second: 50,
      predicted_per_second: 5,
    });
    // Those of the first half second only warm up.
    expect(model.asked).toBe(10);
  });

  it('takes fewer samples of a slow model', async () => {
    const model = fakeModel([10, 10, 20, 30, 40], 400);
    expect((await measureRates(model, 'completion', signal, model.now)).prompt_per_second).toBe(30);
    expect(model.asked).toBe(5);
    const verySlow = fakeModel([10, 20], 5000);
    expect((await measureRates(verySlow, 'completion', signal, verySlow.now)).prompt_per_second).toBe(20);
  });

  it('computes the prompt each time, and never stops early', async () => {
    const model = fakeModel([1, 2, 3, 4, 5, 6], 500);
    await measureRates(model, 'completion', signal, model.now);
    for (const { kind, body } of model.requests) {
      expect(kind).toBe('text');
      expect(body).toMatchObject({ cache_prompt: false, ignore_eos: true, stream: false });
    }
  });

  it('times embeddings by the clock', async () => {
    const model = fakeModel([], 100);
    expect(await measureRates(model, 'embedding', signal, model.now)).toEqual({
      prompt_per_second: 400,
      predicted_per_second: null,
    });
  });

  it('passes on what goes wrong', async () => {
    const model = {
      ...fakeModel([]),
      // biome-ignore lint/correctness/useYield: a model that fails before its first result
      async *complete(): AsyncGenerator<Json> {
        throw new Error('lost');
      },
    };
    await expect(measureRates(model, 'completion', signal)).rejects.toThrow('lost');
  });
});

it('median', () => {
  expect([median([3, 1, 2]), median([4, 1]), median([7])]).toEqual([2, 4, 7]);
});
