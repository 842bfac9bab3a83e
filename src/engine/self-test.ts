/**
 * Never garbage: a driver that computes wrong gives text all the same. So a model on a GPU first shows that it computes what the
 * CPU computes: a few known tokens, whose probabilities are compared with a reference that was taken on the CPU once.
 */
import { LlamatabError } from '../errors.ts';
import type { EngineModel, Json, LoadedModel } from './engine.ts';

type Testable = Pick<LoadedModel, 'complete' | 'embed'>;

/** What is remembered of a model; JSON. */
export type Reference = { kind: 'completion'; steps: Step[] } | { kind: 'embedding'; vector: number[] };

/** One decoded token, and the log probabilities of the likeliest ones by their ids. */
interface Step {
  token: number;
  logprobs: [token: number, logprob: number][];
}

/** ASCII, so that any vocabulary can write it, and long enough for a batch of several tokens. */
const PROMPT = 'The river rises in the hills and reaches the sea. The sun rises in the east and';
/** The first token comes from the prompt's batch, the others from decoding, which runs other shaders. */
const TOKENS = 4;
const ALTERNATIVES = 10;
/** Of the reference's likeliest tokens, those that are compared: further down, rounding changes which there are. */
const COMPARED = 5;

/**
 * Log probabilities may differ by so much on average (nats). Weights and caches of 16 bits bring 0.01 to 0.1; a shader that is
 * wrong anywhere, several.
 */
export const MAX_DIFFERENCE = 0.75;
/** Cosine between the vectors of a model that embeds; 0.9998 was measured between GPU and CPU. */
export const MIN_COSINE = 0.99;

/** Computes the known tokens. Null where the model can't tell: llama.cpp refuses the prompt, or the probabilities. */
export async function takeReference(
  model: Testable,
  kind: EngineModel['kind'],
  signal?: AbortSignal,
): Promise<Reference | null> {
  try {
    if (kind === 'embedding') {
      const { embedding } = await model.embed({ input: PROMPT, normalize: 2, signal });
      return { kind, vector: embedding };
    }
    for await (const result of model.complete({ kind: 'text', body: BODY, signal })) {
      const steps = readSteps(result);
      return steps.length === 0 ? null : { kind, steps };
    }
    return null;
  } catch (error) {
    if (error instanceof LlamatabError && error.type === 'invalid_request_error') return null;
    throw error;
  }
}

const BODY: Json = {
  prompt: PROMPT,
  max_tokens: TOKENS,
  n_probs: ALTERNATIVES,
  ignore_eos: true,
  temperature: 0,
  cache_prompt: false,
  stream: false,
};

/** `logprobs` of OpenAI's shape as llama-server fills it. */
interface LogprobEntry {
  id: number;
  top_logprobs: { id: number; logprob: number }[];
}

function readSteps({ choices }: Json): Step[] {
  const [choice] = (choices ?? []) as { logprobs?: { content?: LogprobEntry[] } | null }[];
  return (choice?.logprobs?.content ?? []).map(({ id, top_logprobs }) => ({
    token: id,
    logprobs: top_logprobs.map((entry) => [entry.id, entry.logprob]),
  }));
}

/** Why `computed` is not what `reference` is, for people; null if it is, within rounding. */
export function difference(reference: Reference, computed: Reference | null): string | null {
  if (computed === null) return 'it gives no probabilities, where the CPU does';
  if (reference.kind === 'embedding' && computed.kind === 'embedding') {
    const cosine = cosineOf(reference.vector, computed.vector);
    return cosine >= MIN_COSINE ? null : `embeddings differ from the CPU's (cosine ${cosine.toFixed(3)})`;
  }
  if (reference.kind === 'completion' && computed.kind === 'completion') {
    const gaps = gapsOf(reference.steps, computed.steps);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    return mean <= MAX_DIFFERENCE
      ? null
      : `probabilities differ from the CPU's by ${mean.toFixed(2)} nats on average, where rounding explains ${MAX_DIFFERENCE}`;
  }
  return 'the reference is of another kind of model';
}

/** As far as both took the same tokens: after that they continue other texts. */
function gapsOf(reference: Step[], computed: Step[]): number[] {
  const gaps: number[] = [];
  for (const [i, step] of reference.entries()) {
    const other = new Map(computed[i]?.logprobs);
    for (const [token, logprob] of step.logprobs.slice(0, COMPARED)) {
      // NaN, too, is as far off as can be.
      const found = other.get(token) ?? Number.NaN;
      gaps.push(Number.isFinite(found) ? Math.abs(found - logprob) : ABSENT);
    }
    if (computed[i]?.token !== step.token) break;
  }
  return gaps;
}

/** Nats, for one of the likeliest tokens that is not even among the others' ten. */
const ABSENT = 5;

function cosineOf(a: number[], b: number[]): number {
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  return Number.isFinite(cosine) ? cosine : 0;
}

/** Whatever was stored, by whichever version; null for what is none. */
export function readReference(stored: unknown): Reference | null {
  const { kind, steps, vector } = (stored ?? {}) as { kind?: unknown; steps?: unknown; vector?: unknown };
  if (kind === 'embedding' && Array.isArray(vector) && vector.every(Number.isFinite)) return { kind, vector };
  if (kind === 'completion' && Array.isArray(steps) && steps.length > 0 && steps.every(isStep)) return { kind, steps };
  return null;
}

function isStep(value: unknown): value is Step {
  const { token, logprobs } = (value ?? {}) as { token?: unknown; logprobs?: unknown };
  return (
    Number.isInteger(token) &&
    Array.isArray(logprobs) &&
    logprobs.every((entry) => Array.isArray(entry) && Number.isInteger(entry[0]) && Number.isFinite(entry[1]))
  );
}
