import { describe, expect, it } from 'vitest';
import { LlamatabError } from '../errors.ts';
import type { Json } from './engine.ts';
import { difference, type Reference, readReference, takeReference } from './self-test.ts';

const answer = (steps: { id: number; top_logprobs: { id: number; logprob: number }[] }[]): Json => ({
  choices: [{ text: '', logprobs: { content: steps } }],
});
const step = (id: number, ...logprobs: number[]) => ({
  id,
  top_logprobs: logprobs.map((logprob, i) => ({ id: id + i, logprob })),
});
const completing = (result: Json | Error) => ({
  async *complete() {
    if (result instanceof Error) throw result;
    yield result;
  },
  embed: async () => ({ embedding: [3, 4], tokens: 2 }),
});

const REFERENCE = (await takeReference(
  completing(answer([step(10, -0.5, -1.5, -3), step(20, -0.1, -4)])),
  'completion',
)) as Reference;
const compared = async (...steps: ReturnType<typeof step>[]) =>
  difference(REFERENCE, await takeReference(completing(answer(steps)), 'completion'));

describe('takeReference', () => {
  it('keeps tokens with their log probabilities, and survives being stored', () => {
    expect(REFERENCE).toEqual({
      kind: 'completion',
      steps: [
        {
          token: 10,
          logprobs: [
            [10, -0.5],
            [11, -1.5],
            [12, -3],
          ],
        },
        {
          token: 20,
          logprobs: [
            [20, -0.1],
            [21, -4],
          ],
        },
      ],
    });
    expect(readReference(JSON.parse(JSON.stringify(REFERENCE)))).toEqual(REFERENCE);
    expect(readReference(undefined)).toBeNull();
    expect(readReference({ kind: 'completion', steps: [{ token: 'a' }] })).toBeNull();
  });

  it('keeps the vector of a model that embeds', async () => {
    const reference = await takeReference(completing({}), 'embedding');
    expect(reference).toEqual({ kind: 'embedding', vector: [3, 4] });
    expect(readReference(reference)).toEqual(reference);
  });

  it('is none where llama.cpp refuses the test, and fails where the engine does', async () => {
    expect(
      await takeReference(completing(new LlamatabError('invalid_request_error', 'no UTF-8')), 'completion'),
    ).toBeNull();
    await expect(takeReference(completing(new LlamatabError('server_error', 'lost')), 'completion')).rejects.toThrow(
      'lost',
    );
    expect(await takeReference(completing({ choices: [{ text: 'no probabilities' }] }), 'completion')).toBeNull();
  });
});

describe('difference', () => {
  it('lets rounding pass', async () => {
    expect(await compared(step(10, -0.52, -1.45, -3.1), step(20, -0.12, -3.9))).toBeNull();
  });

  it('compares no further than the texts are the same', async () => {
    expect(await compared(step(11, -0.6, -1.4, -3), step(77, -9))).not.toBeNull();
    const near = { id: 11, top_logprobs: step(10, -0.5, -1.5, -3).top_logprobs };
    expect(await compared(near, step(77, -9))).toBeNull();
  });

  it('finds other numbers, none at all, and what is no number', async () => {
    expect(await compared(step(10, -6, -6, -6), step(20, -0.1, -4))).toMatch(/nats/);
    expect(await compared()).toMatch(/no probabilities/);
    expect(await compared(step(10, Number.NaN, Number.NaN, Number.NaN))).toMatch(/nats/);
  });

  it('compares the direction of vectors', () => {
    const vector = (...values: number[]): Reference => ({ kind: 'embedding', vector: values });
    expect(difference(vector(3, 4), vector(3.01, 3.99))).toBeNull();
    expect(difference(vector(3, 4), vector(4, -3))).toMatch(/cosine 0\.000/);
    expect(difference(vector(3, 4), vector(Number.NaN, 1))).toMatch(/cosine/);
    expect(difference(vector(3, 4), REFERENCE)).toMatch(/another kind/);
  });
});
