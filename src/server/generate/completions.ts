/** What text and chat completions share: from a validated body to the engine's results and the answer. */
import type { CompletionRequest, Json, LoadedModel } from '../../engine/engine.ts';
import { refuseTooLong as refuseTooLongPrompt } from '../../engine/prompt-length.ts';
import type { CatalogModel } from '../../models/models.ts';
import { answer, type Result } from '../http/answer.ts';
import { isPresent } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import type { EventFormat } from '../http/sse.ts';
import { requireCompletion } from '../state/capabilities.ts';
import { completionId, type ServerContext, unixSeconds } from '../state/context.ts';
import { mergeAnswers, mergeStreams } from './choices.ts';
import { fanOut, type Task } from './fan-out.ts';
import { type Parameters, seedOf } from './params.ts';

export interface CompletionPlan {
  kind: CompletionRequest['kind'];
  model: CatalogModel;
  parameters: Parameters;
  /**
   * What can be decided only once the model is loaded: chat's tools depend on its template, token ids on its vocabulary. One
   * for each prompt. By default, the parameters as they are.
   */
  prepare?: ((model: LoadedModel, signal: AbortSignal) => Promise<Prepared[]>) | undefined;
  /** Answers to generate for each prompt. Default: as many as `n` says. */
  candidates?: number | undefined;
  /** Another API's shape of the answer. Default: OpenAI's completions. */
  shape?: AnswerShape | undefined;
}

/** What the engine is asked for, and what is made of its results. */
export interface Prepared {
  body: Json;
  /** Images and sounds, in the order of their markers. */
  files?: Uint8Array[];
  /** Turns the results of one task; called anew for each. */
  translate?: (results: AsyncIterable<Json>) => AsyncIterable<Json>;
}

export interface AnswerShape {
  /** One result of a stream, complete. */
  chunk?(result: Json, index: number, identity: Identity): Json;
  /** The whole answer, out of those of all tasks: the answers to a prompt side by side. */
  whole?(results: Json[], perPrompt: number, identity: Identity): Result;
  /** Turns the results of the one task, identity and all: APIs that have this know no `n`. */
  translate?(results: AsyncGenerator<Json>): AsyncGenerator<Json>;
  /** How the results of a stream are written. */
  events?: EventFormat;
}

/** What llama.cpp leaves to the server; all chunks of a stream share it. */
export interface Identity {
  id: string;
  created: number;
  model: string;
  system_fingerprint: string;
}

const OPENAI_SHAPE = {
  chunk: (result: Json, _: number, identity: Identity): Json => withIdentity(result, identity),
  whole: (results: Json[], perPrompt: number, identity: Identity): Result =>
    withIdentity(mergeAnswers(results, perPrompt), identity),
};

/** Answers a validated completion of either kind. */
export function complete(scope: Scope, context: ServerContext, plan: CompletionPlan): Promise<Response> {
  requireCompletion(plan.model);
  const { stream, pingInterval } = plan.parameters;
  let onAccepted = () => {};
  const accepted = new Promise<void>((resolve) => {
    onAccepted = resolve;
  });
  const generated = results(scope, context, plan, onAccepted);
  const { translate, events } = plan.shape ?? {};
  const answered = translate?.(generated as AsyncGenerator<Json>) ?? generated;
  return answer(answered, { stream, ...(events && { events }), pingInterval, abort: scope.abort, accepted });
}

function results(
  scope: Scope,
  context: ServerContext,
  plan: CompletionPlan,
  onAccepted: () => void,
): AsyncGenerator<Result> {
  const naming = { id: completionId(context), created: unixSeconds(context), model: plan.model.id };
  return context.pool.lendEach(plan.model, scope, (loaded) =>
    generate(loaded, plan, { ...naming, system_fingerprint: loaded.info.build }, scope.signal, onAccepted),
  );
}

async function* generate(
  loaded: LoadedModel,
  { kind, parameters, prepare, candidates, shape }: CompletionPlan,
  identity: Identity,
  signal: AbortSignal,
  onAccepted: () => void,
): AsyncGenerator<Result> {
  const prompts = (await prepare?.(loaded, signal)) ?? [{ body: parameters.body }];
  if (prompts.length > 1) await refuseTooLong(prompts, loaded);

  const perPrompt = candidates ?? (shape?.translate ? 1 : parameters.choices);
  const tasks = prompts.flatMap(({ body, files, translate }, prompt) =>
    Array.from({ length: perPrompt }, (_, choice): Task<Json> => {
      const seed = seedOf(parameters, choice, prompt * perPrompt);
      return (signal) => {
        const generated = loaded.complete({ kind, body: { ...body, seed }, files, signal, onAccepted });
        return translate?.(generated) ?? generated;
      };
    }),
  );
  const { chunk, whole } = { ...OPENAI_SHAPE, ...shape };
  const generated = fanOut(tasks, loaded.info.plan.slots, signal);
  if (!parameters.stream) {
    const answers: Json[] = [];
    for await (const [index, result] of generated) answers[index] ??= result;
    if (Object.keys(answers).length === tasks.length) yield whole(answers, perPrompt, identity);
    return;
  }
  const merged = tasks.length === 1 ? generated : mergeStreams(generated, tasks.length, perPrompt);
  for await (const [index, result] of merged) yield chunk(result, index, identity);
}

/** Of several prompts one may be too long when others are under way: that should be known before the status is sent. */
async function refuseTooLong(prompts: Prepared[], loaded: LoadedModel): Promise<void> {
  for (const { body } of prompts) {
    await refuseTooLongPrompt({ kind: 'text', body }, loaded.info, () => loaded.tokenizer());
  }
}

export function withIdentity(result: Json, identity: Identity): Json {
  const completed: Json = { ...result, ...identity };
  if (result.__verbose !== undefined) completed.__verbose = withModel(result.__verbose as Json, identity);
  if (result.object === 'chat.completion') return withOpenAiNulls(completed);
  return result.object === 'chat.completion.chunk' ? { ...completed, choices: withRefusals(completed) } : completed;
}

/** llama-server's own shape names the model in a whole answer, and at the end of a stream. */
export function withModel(native: Json, { model }: Identity): Json {
  return native.model === undefined ? native : { ...native, model };
}

/** What OpenAI's document requires of a chat answer and llama-server leaves out where it is unused. */
function withOpenAiNulls(answer: Json): Json {
  const choices = withRefusals(answer).map((choice) => ({
    ...choice,
    message: { ...(choice.message as Json), refusal: null },
    logprobs: choice.logprobs ?? null,
  }));
  return { ...answer, choices };
}

/** The choices, those with log probabilities in OpenAI's whole shape. */
function withRefusals({ choices }: Json): Json[] {
  return (choices as Json[]).map((choice) =>
    isPresent(choice.logprobs) ? { ...choice, logprobs: { ...(choice.logprobs as Json), refusal: null } } : choice,
  );
}
