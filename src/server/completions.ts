/** `POST /v1/completions`, and what it shares with chat: from a validated body to the engine's results and the answer. */
import type { CompletionRequest, Json, LoadedModel, LoadedModelInfo } from '../engine/engine.ts';
import { LlamatabError } from '../errors.ts';
import type { CatalogModel } from '../models/models.ts';
import { answer } from './answer.ts';
import { abortWith, completionId, requireCompletion, type ServerContext, unixSeconds } from './context.ts';
import { readBody } from './json.ts';
import { findModel } from './model-names.ts';
import { isPresent, notSupported, type Parameters, readParameters } from './params.ts';
import { readPrompts } from './prompts.ts';
import type { EventFormat } from './sse.ts';

export async function completions(request: Request, context: ServerContext): Promise<Response> {
  const body = await readBody(request);
  const prompt = readPrompt(body);
  const parameters = readParameters(body, context.random);
  refuseOpenAiOptions(body);
  parameters.body.prompt = prompt;
  const model = findModel(await context.models.catalog(), body.model, context.naming);
  return complete(request, context, { kind: 'text', model, parameters });
}

function readPrompt(body: Json): string {
  if (body.prompt === undefined) {
    throw new LlamatabError('invalid_request_error', "[json.exception.out_of_range.403] key 'prompt' not found", {
      param: 'prompt',
    });
  }
  const [prompt = '', ...more] = readPrompts(body.prompt, 'prompt', 'invalid_request_error');
  if (more.length > 0) throw notSupported('prompt', 'several prompts in one request, send one request for each.');
  if (typeof prompt !== 'string') throw notSupported('prompt', 'token ids can not be given, send text.');
  return prompt;
}

/** OpenAI's options that llama-server ignores in silence: who sends one would take the answer for what it is not. */
function refuseOpenAiOptions(body: Json): void {
  if (body.echo === true) throw notSupported('echo', 'put the prompt before the text yourself.');
  if (isPresent(body.suffix) && body.suffix !== '') throw notSupported('suffix', 'send a prompt without it.');
  if (isPresent(body.best_of) && body.best_of !== 1) throw notSupported('best_of', 'send the request several times.');
}

export interface CompletionPlan {
  kind: CompletionRequest['kind'];
  model: CatalogModel;
  parameters: Parameters;
  /** What can be decided only once the model is loaded: chat's tools depend on its template. */
  prepare?: ((model: LoadedModel, signal: AbortSignal) => Promise<Prepared>) | undefined;
  /** Another API's shape of the whole answer; by default it stays as llama.cpp gives it. */
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
  /** Turns the results of all tasks, identity and all. */
  translate(results: AsyncGenerator<Json>): AsyncGenerator<Json>;
  /** How the results of a stream are written. */
  events: EventFormat;
}

/** Answers a validated completion of either kind. */
export function complete(request: Request, context: ServerContext, plan: CompletionPlan): Promise<Response> {
  requireCompletion(plan.model);
  const abort = abortWith(request);
  const { stream, pingInterval } = plan.parameters;
  let onAccepted = () => {};
  const accepted = new Promise<void>((resolve) => {
    onAccepted = resolve;
  });
  const generated = results(context, plan, abort.signal, onAccepted);
  const { translate, events } = plan.shape ?? {};
  return answer(translate?.(generated) ?? generated, { stream, events, pingInterval, abort, accepted });
}

async function* results(
  context: ServerContext,
  { kind, model, parameters, prepare }: CompletionPlan,
  signal: AbortSignal,
  onAccepted: () => void,
): AsyncGenerator<Json> {
  const identity = { id: completionId(context), created: unixSeconds(context), model: model.id };
  const loaded = await context.router.acquire(model, signal);
  const { body, files, translate }: Prepared = (await prepare?.(loaded, signal)) ?? { body: parameters.body };
  const generated = loaded.complete({ kind, body, files, signal, onAccepted });
  for await (const result of translate?.(generated) ?? generated) {
    yield withIdentity(result, identity, loaded.info);
  }
}

/** llama.cpp leaves these to the server; all chunks of a stream share them. */
function withIdentity(
  result: Json,
  identity: { id: string; created: number; model: string },
  { build }: LoadedModelInfo,
): Json {
  const completed: Json = { ...result, ...identity, system_fingerprint: build };
  if (result.object === 'chat.completion') return withOpenAiNulls(completed);
  return result.object === 'chat.completion.chunk' ? { ...completed, choices: withRefusals(completed) } : completed;
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
