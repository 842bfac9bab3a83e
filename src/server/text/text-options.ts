/** Options of OpenAI's text completions that llama-server silently ignores: `echo`, `best_of`, `suffix`. */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import { collectAnswers, mergeAnswers } from '../generate/choices.ts';
import type { CompletionPlan, Prepared } from '../generate/completions.ts';
import { withIdentity } from '../generate/openai-format.ts';
import { int } from '../generate/param-readers.ts';
import type { Parameters } from '../generate/params.ts';
import { isPresent, typeError } from '../http/json.ts';

/** OpenAI's limit of `best_of`. */
const MAX_CANDIDATES = 20;

/** The text after the gap; undefined for none. */
export function readSuffix({ suffix }: Json): string | undefined {
  if (!isPresent(suffix) || suffix === '') return undefined;
  if (typeof suffix !== 'string') throw invalid('suffix', `Field 'suffix': ${typeError('string', suffix)}`);
  return suffix;
}

/** Corrects the answers to a prompt by putting it before their text; undefined unless the request asks for that. */
export function readEcho({ echo, body }: Parameters): ((prompt: string) => Prepared['correct']) | undefined {
  if (!echo) return undefined;
  if (wantsLogprobs(body)) {
    throw invalid(
      'echo',
      "'echo' with 'logprobs' is not supported: the engine gives no log probabilities of a prompt's tokens. Send one without the other.",
    );
  }
  // For `max_tokens: 0` OpenAI returns just the prompt; llama.cpp generates a token anyway.
  const only = body.n_predict === 0;
  return (prompt) => (results) => echoed(results, prompt, only);
}

async function* echoed(results: AsyncIterable<Json>, prompt: string, only: boolean): AsyncGenerator<Json> {
  let before = prompt;
  for await (const result of results) {
    const choices = result.choices as Json[];
    yield { ...result, choices: choices.map((choice) => ({ ...choice, text: `${before}${only ? '' : choice.text}` })) };
    before = '';
  }
}

function wantsLogprobs({ n_probs: count }: Json): boolean {
  return typeof count === 'number' && count > 0;
}

/** Generates more answers than are returned: the best, by the mean log probability of their tokens. */
export function withBestOf(plan: CompletionPlan, { best_of: asked }: Json): CompletionPlan {
  if (!isPresent(asked)) return plan;
  const candidates = int({ min: 1, max: MAX_CANDIDATES })(asked, 'best_of');
  const { choices: kept, stream, body } = plan.parameters;
  if (candidates < kept) {
    throw invalid('best_of', `'best_of' must be at least 'n', which is ${kept}, but is ${candidates}`);
  }
  if (candidates === kept) return plan;
  if (stream) {
    throw invalid(
      'best_of',
      "'best_of' can't be streamed: which answer is best is known at the end. Leave out 'stream'.",
    );
  }
  const shown = wantsLogprobs(body);
  const scored = (prepared: Prepared): Prepared =>
    shown ? prepared : { ...prepared, body: { ...prepared.body, n_probs: 1, post_sampling_probs: false } };
  return {
    ...plan,
    perPrompt: candidates,
    prepare: async (model, signal) => (await plan.prepare(model, signal)).map(scored),
    format: {
      ...plan.format,
      async *map(results, { identity, tasks, perPrompt }) {
        const answers = await collectAnswers(results, tasks);
        if (answers === null) return;
        const best = mergeAnswers(answers, perPrompt, (candidates) => bestOf(candidates, kept));
        yield withIdentity(shown ? best : withoutLogprobs(best), identity);
      },
    },
  };
}

function bestOf(answers: Json[], count: number): Json[] {
  return answers
    .map((answer) => ({ answer, score: meanLogprob(answer) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, count)
    .map(({ answer }) => answer);
}

/** An answer without tokens ranks last. */
function meanLogprob(answer: Json): number {
  const [choice] = answer.choices as [{ logprobs?: { content?: { logprob?: number; prob?: number }[] } | null }];
  const tokens = choice.logprobs?.content ?? [];
  if (tokens.length === 0) return -Number.MAX_VALUE;
  // Probabilities after sampling are not logarithms.
  const logarithms = tokens.map(({ logprob, prob = 0 }) => logprob ?? Math.log(prob));
  return logarithms.reduce((sum, value) => sum + value, 0) / tokens.length;
}

function withoutLogprobs(answer: Json): Json {
  return { ...answer, choices: (answer.choices as Json[]).map((choice) => ({ ...choice, logprobs: null })) };
}
