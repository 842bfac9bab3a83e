/**
 * How every generated answer comes about. A route reads its body into a `CompletionPlan` and calls `complete`, which
 * borrows the model, lets the plan prepare what to ask of the engine, runs a task for each answer, and maps the results
 * to the format of the route's API.
 */
import type { CompletionRequest, Json, LoadedModel } from '../../engine/engine.ts';
import { refuseTooLong as refuseTooLongPrompt } from '../../engine/prompt-length.ts';
import type { CatalogModel } from '../../models/models.ts';
import { answer, type Result } from '../http/answer.ts';
import type { Scope } from '../http/scope.ts';
import type { EventFormat } from '../http/sse.ts';
import { requireCompletion } from '../state/capabilities.ts';
import { completionId, randomId, type ServerContext } from '../state/context.ts';
import { drawSeed, drawsFrom } from '../state/identity.ts';
import { continueText } from './continue-text.ts';
import { fanOut, type Indexed, type Task } from './fan-out.ts';
import { type Parameters, seedOf } from './params.ts';
import { withWholeCharacters } from './partial-characters.ts';
import { Diverged, recomputed } from './recompute.ts';

export interface CompletionPlan {
  kind: CompletionRequest['kind'];
  model: CatalogModel;
  parameters: Parameters;
  /** Answers to generate for each prompt. */
  perPrompt: number;
  /**
   * What to ask of the engine, an entry for each prompt. Called once the model is loaded: tools depend on its template,
   * token ids on its vocabulary.
   */
  prepare(loaded: LoadedModel, signal: AbortSignal): Promise<Prepared[]>;
  format: AnswerFormat;
}

export interface Prepared {
  body: Json;
  /** Images and sounds, in the order of their markers. */
  files?: Uint8Array[];
  /**
   * Corrects the results of one task, still in llama.cpp's shape: reads tool calls out of its text, or puts the prompt
   * before it. Called for each task anew.
   * @param newId Draws a call's id: for one task, the same ones on every host.
   */
  correct?: (results: AsyncIterable<Json>, newId: () => string) => AsyncIterable<Json>;
}

/** How an API presents its answers. */
export interface AnswerFormat {
  /** Maps the results of all tasks to the answer: the events of a stream, or a single document. */
  map(results: AsyncIterable<Indexed<Json>>, about: AnswerFacts): AsyncIterable<Result>;
  /** How the events of a stream are written. */
  events: EventFormat;
}

export interface AnswerFacts {
  identity: Identity;
  /** Whether results are chunks of a stream rather than whole answers. */
  stream: boolean;
  /** Prompts times `perPrompt`; the answers to a prompt are side by side. */
  tasks: number;
  perPrompt: number;
}

/** What llama.cpp leaves to the server. All chunks of a stream share it. */
export interface Identity {
  id: string;
  created: number;
  model: string;
  system_fingerprint: string;
}

export function complete(scope: Scope, context: ServerContext, plan: CompletionPlan): Promise<Response> {
  requireCompletion(plan.model);
  let onAccepted = () => {};
  const accepted = new Promise<void>((resolve) => {
    onAccepted = resolve;
  });
  const naming = { id: completionId(context), created: Math.floor(context.askedAt() / 1000), model: plan.model.id };
  const { signal, autoload, caller } = scope;
  const results = (plan: CompletionPlan, admitted = scope.admitted) =>
    context.pool.lendEach(plan.model, { signal, autoload, caller, admitted }, (loaded) =>
      generate(loaded, plan, { ...naming, system_fingerprint: loaded.info.build }, scope, context, onAccepted),
    );
  const { stream, pingInterval } = plan.parameters;
  return answer(whateverEngine(plan, results), {
    abort: scope.abort,
    stream,
    events: plan.format.events,
    pingInterval,
    accepted,
    delivered: scope.delivered,
    otherwise(given) {
      // What the upstream server began is not this model's to finish.
      if (!given.every(({ choices, id }) => choices === undefined || id === naming.id)) return null;
      const rest = continueText(plan, given);
      return rest && results(rest);
    },
  });
}

/** The results; where an engine that was lost has begun a plain text that the next one would write in another way, that goes on with it. */
async function* whateverEngine(
  plan: CompletionPlan,
  results: (plan: CompletionPlan, admitted?: boolean) => AsyncGenerator<Result>,
): AsyncGenerator<Result> {
  const given: Json[] = [];
  try {
    for await (const result of results(plan)) {
      if (plan.parameters.stream) given.push(result as Json);
      yield result;
    }
  } catch (error) {
    const rest = error instanceof Diverged ? continueText(plan, given) : null;
    if (rest === null) throw error;
    yield* results(rest, true);
  }
}

async function* generate(
  loaded: LoadedModel,
  { kind, model, parameters, perPrompt, prepare, format }: CompletionPlan,
  identity: Identity,
  { signal, autoload, caller }: Scope,
  { pool, random }: ServerContext,
  onAccepted: () => void,
): AsyncGenerator<Result> {
  const prompts = await prepare(loaded, signal);
  if (prompts.length > 1) await refuseTooLong(prompts, loaded);

  const tasks = prompts.flatMap(({ body, files, correct }, prompt) =>
    Array.from({ length: perPrompt }, (_, choice): Task<Json> => {
      const seed = seedOf(parameters, choice, prompt * perPrompt);
      // Tasks side by side draw in any order.
      const ids = { random: drawsFrom(drawSeed(random)) };
      return (signal) => {
        const reproducible = parameters.seeded;
        const asked = { kind, files, reproducible, caller, signal, onAccepted };
        const results = recomputed(pool, model, { signal, autoload }, (lent, attempt) => {
          const marked = files === undefined ? body : withMarkerOf(lent, body, loaded);
          return withWholeCharacters(lent.complete({ ...asked, body: { ...marked, seed }, ...attempt }));
        });
        return correct?.(results, () => randomId(ids)) ?? results;
      };
    }),
  );
  const results = fanOut(tasks, loaded.info.plan.slots, signal);
  yield* format.map(results, { identity, stream: parameters.stream, tasks: tasks.length, perPrompt });
}

/** Each load of a model draws a marker of its own: what was prepared for one engine is asked of the next with that one's. */
function withMarkerOf({ info: { media } }: LoadedModel, body: Json, { info }: LoadedModel): Json {
  const { marker } = info.media;
  if (marker === media.marker) return body;
  return JSON.parse(JSON.stringify(body).replaceAll(marker, () => media.marker));
}

/** Refuses an overlong prompt before another prompt's first result commits the status. */
async function refuseTooLong(prompts: Prepared[], loaded: LoadedModel): Promise<void> {
  for (const { body } of prompts) {
    await refuseTooLongPrompt({ kind: 'text', body }, loaded.info, () => loaded.tokenizer());
  }
}
