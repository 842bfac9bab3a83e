/** OpenAI's format of an answer, which llama.cpp's own nearly is. Other APIs build on it. */
import type { Json } from '../../engine/engine.ts';
import { isPresent } from '../http/json.ts';
import { OPENAI_EVENTS } from '../http/sse.ts';
import { collectAnswers, mergeAnswers, mergeStreams } from './choices.ts';
import type { AnswerFacts, AnswerFormat, Identity } from './completions.ts';
import type { Indexed } from './fan-out.ts';

export const OPENAI_FORMAT: AnswerFormat = { map: toOpenAi, events: OPENAI_EVENTS };

export async function* toOpenAi(results: AsyncIterable<Indexed<Json>>, about: AnswerFacts): AsyncGenerator<Json> {
  const { identity, stream, tasks, perPrompt } = about;
  if (stream) {
    const merged = tasks === 1 ? results : mergeStreams(results, tasks, perPrompt);
    for await (const [, chunk] of merged) yield withIdentity(chunk, identity);
    return;
  }
  const answers = await collectAnswers(results, tasks);
  if (answers !== null) yield withIdentity(mergeAnswers(answers, perPrompt), identity);
}

export function withIdentity(result: Json, identity: Identity): Json {
  const completed: Json = { ...result, ...identity };
  if (result.__verbose !== undefined) completed.__verbose = withModel(result.__verbose as Json, identity);
  if (result.object === 'chat.completion') return withOpenAiNulls(completed);
  return result.object === 'chat.completion.chunk' ? { ...completed, choices: withRefusals(completed) } : completed;
}

/** llama-server's own format names the model in a whole answer, and at the end of a stream. */
export function withModel(native: Json, { model }: Identity): Json {
  return native.model === undefined ? native : { ...native, model };
}

/** Fields of a chat answer that OpenAI's specification requires, and llama-server omits if unused. */
function withOpenAiNulls(answer: Json): Json {
  const choices = withRefusals(answer).map((choice) => ({
    ...choice,
    message: { ...(choice.message as Json), refusal: null },
    logprobs: choice.logprobs ?? null,
  }));
  return { ...answer, choices };
}

/** The choices, with the log probabilities of each in OpenAI's full shape. */
function withRefusals({ choices }: Json): Json[] {
  return (choices as Json[]).map((choice) =>
    isPresent(choice.logprobs) ? { ...choice, logprobs: { ...(choice.logprobs as Json), refusal: null } } : choice,
  );
}
