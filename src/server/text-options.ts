/** OpenAI's options of text completions that llama-server ignores without a word: `echo` and `best_of`. */
import type { Json } from '../engine/engine.ts';
import { LlamatabError } from '../errors.ts';
import { mergeAnswers } from './choices.ts';
import { type CompletionPlan, type Prepared, withIdentity } from './completions.ts';
import { int, isPresent } from './params.ts';

/** OpenAI's limit of `best_of`. */
const MAX_CANDIDATES = 20;

function fault(param: string, message: string): LlamatabError {
  return new LlamatabError('invalid_request_error', message, { param });
}

/** Text to come after what is written. */
export function refuseSuffix({ suffix }: Json): void {
  if (isPresent(suffix) && suffix !== '') throw fault('suffix', "'suffix' is not supported. Send a prompt without it.");
}

/** The prompt before each answer's text. */
export function withEcho(plan: CompletionPlan, { echo }: Json): CompletionPlan {
  if (echo !== true) return plan;
  const { n_probs: logprobs, n_predict: limit } = plan.parameters.body;
  if (typeof logprobs === 'number' && logprobs > 0) {
    throw fault(
      'echo',
      "'echo' with 'logprobs' is not supported: the engine gives no log probabilities of a prompt's tokens. Send one without the other.",
    );
  }
  return eachPrompt(plan, (prepared) => echoed(prepared, limit === 0));
}

function eachPrompt(plan: CompletionPlan, change: (prepared: Prepared) => Prepared): CompletionPlan {
  return {
    ...plan,
    prepare: async (model, signal) => ((await plan.prepare?.(model, signal)) ?? []).map(change),
  };
}

/** @param only The prompt alone: OpenAI's `max_tokens: 0`, where llama.cpp still generates a token. */
function echoed(prepared: Prepared, only: boolean): Prepared {
  return {
    ...prepared,
    async *translate(results) {
      let prompt = prepared.body.prompt as string;
      for await (const result of prepared.translate?.(results) ?? results) {
        const choices = (result.choices as Json[]).map((choice) => ({
          ...choice,
          text: `${prompt}${only ? '' : choice.text}`,
        }));
        yield { ...result, choices };
        prompt = '';
      }
    },
  };
}

/** More answers than are given; those are, by their tokens' mean log probability, the best. */
export function withBestOf(plan: CompletionPlan, { best_of: asked }: Json): CompletionPlan {
  if (!isPresent(asked)) return plan;
  const candidates = int({ min: 1, max: MAX_CANDIDATES })(asked, 'best_of');
  const { choices: kept, stream, body } = plan.parameters;
  if (candidates < kept) {
    throw fault('best_of', `'best_of' must be at least 'n', which is ${kept}, but is ${candidates}`);
  }
  if (candidates === kept) return plan;
  if (stream) {
    throw fault(
      'best_of',
      "'best_of' can't be streamed: which answer is best is known at the end. Leave out 'stream'.",
    );
  }
  const shown = typeof body.n_probs === 'number' && body.n_probs > 0;
  const scored = { n_probs: 1, post_sampling_probs: false };
  return {
    ...eachPrompt(plan, (prepared) => (shown ? prepared : { ...prepared, body: { ...prepared.body, ...scored } })),
    candidates,
    shape: {
      ...plan.shape,
      whole: (results, perPrompt, identity) => {
        const best = mergeAnswers(results, perPrompt, (answers) => bestOf(answers, kept));
        return withIdentity(shown ? best : withoutLogprobs(best), identity);
      },
    },
  };
}

function bestOf(answers: Json[], count: number): Json[] {
  const scored = answers.map((answer) => ({ answer, score: meanLogprob(answer) }));
  return scored
    .sort((a, b) => b.score - a.score)
    .slice(0, count)
    .map(({ answer }) => answer);
}

/** An answer without tokens is the last choice. */
function meanLogprob(answer: Json): number {
  const [choice] = answer.choices as [{ logprobs?: { content?: { logprob?: number; prob?: number }[] } | null }];
  const tokens = choice.logprobs?.content ?? [];
  if (tokens.length === 0) return Number.NEGATIVE_INFINITY;
  // Probabilities after sampling are no logarithms.
  const logarithms = tokens.map(({ logprob, prob = 0 }) => logprob ?? Math.log(prob));
  return logarithms.reduce((sum, value) => sum + value, 0) / tokens.length;
}

function withoutLogprobs(answer: Json): Json {
  return { ...answer, choices: (answer.choices as Json[]).map((choice) => ({ ...choice, logprobs: null })) };
}
