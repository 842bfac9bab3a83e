/** Merges the answers of several tasks: their choices in order, their usage summed. */
import type { Json } from '../../engine/engine.ts';
import type { Indexed } from './fan-out.ts';

interface Usage {
  completion_tokens: number;
  prompt_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens: number };
}

/** The one result of each task, once all have arrived; null if a task ended without a result. */
export async function collectAnswers(results: AsyncIterable<Indexed<Json>>, tasks: number): Promise<Json[] | null> {
  const answers: Json[] = [];
  for await (const [index, result] of results) answers[index] ??= result;
  return Object.keys(answers).length === tasks ? answers : null;
}

/** llama.cpp numbers choices from 0 in each task. */
function withIndex(result: Json, index: number): Json {
  if (index === 0) return result;
  return { ...result, choices: (result.choices as Json[]).map((choice) => ({ ...choice, index })) };
}

/**
 * Merges whole answers: the first, with the choices of all.
 * @param answers Of all tasks; the answers to a prompt are side by side.
 * @param perPrompt Answers to each prompt.
 * @param choose Selects the answers to a prompt that are returned; the usage still counts all.
 */
export function mergeAnswers(
  answers: Json[],
  perPrompt: number,
  choose: (answers: Json[]) => Json[] = (answers) => answers,
): Json {
  const chosen: Json[] = [];
  for (let first = 0; first < answers.length; first += perPrompt) {
    chosen.push(...choose(answers.slice(first, first + perPrompt)));
  }
  const [lead = {}] = chosen;
  if (answers.length === 1) return lead;
  return {
    ...lead,
    choices: chosen.flatMap((answer, index) => withIndex(answer, index).choices as Json[]),
    usage: mergeUsage(
      answers.map(({ usage }) => usage as Usage),
      perPrompt,
    ),
  };
}

/**
 * Merges streams, giving each result its choice's index. Where streams end with their usage, only the last to end
 * reports one, that of all: a client may take the last usage or add them up.
 * @param count Streams.
 */
export async function* mergeStreams(
  results: AsyncIterable<Indexed<Json>>,
  count: number,
  perPrompt: number,
): AsyncGenerator<Indexed<Json>> {
  const usages: Usage[] = [];
  let ended = 0;
  for await (const [index, result] of results) {
    const { usage, ...rest } = withIndex(result, index);
    if (usage === undefined) {
      yield [index, rest];
      continue;
    }
    usages[index] = usage as Usage;
    ended++;
    if (ended === count) yield [index, { ...rest, usage: mergeUsage(usages, perPrompt) }];
    // A chat's usage comes in a chunk of its own.
    else if ((rest.choices as Json[]).length > 0) yield [index, rest];
  }
}

/** As OpenAI counts: every answer, but each prompt once, however many answers it has. */
function mergeUsage(usages: Usage[], perPrompt: number): Usage {
  const prompts = usages.filter((_, index) => index % perPrompt === 0);
  const prompt_tokens = sum(prompts, (usage) => usage.prompt_tokens);
  const completion_tokens = sum(usages, (usage) => usage.completion_tokens);
  return {
    completion_tokens,
    prompt_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens: sum(prompts, (usage) => usage.prompt_tokens_details?.cached_tokens ?? 0) },
  };
}

function sum(usages: Usage[], part: (usage: Usage) => number): number {
  return usages.reduce((total, usage) => total + part(usage), 0);
}
