/**
 * Answers that outlive their engine. When it is lost under a task, the task is asked again of the next one, with the same seed;
 * what was handed on already is compared and left out, so that whoever reads the answer notices a pause and nothing else.
 */
import { EngineLost, type Json, type LoadedModel } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { CatalogModel } from '../../models/models.ts';
import type { Borrower, ModelPool } from '../state/model-pool.ts';

/** Engines that one task may use up, where it is never to blame: something takes one after the other. */
const MAX_ENGINES = 6;

/** How a task is to be computed this time. */
export interface Attempt {
  /** With nothing beside it: it was being computed when an engine was lost. If that happens again, it was this task's doing. */
  alone: boolean;
  /** To be called when the engine begins with it. */
  onStarted: () => void;
}

/** Borrows the model for one task, and again if its engine is lost. */
export async function* recomputed(
  pool: ModelPool,
  model: CatalogModel,
  borrower: Borrower,
  compute: (loaded: LoadedModel, attempt: Attempt) => AsyncIterable<Json>,
): AsyncGenerator<Json> {
  /** What each result said that was handed on. */
  const delivered: string[] = [];
  let alone = false;
  for (let engines = 1; ; engines++) {
    let started = false;
    const attempt: Attempt = {
      alone,
      onStarted: () => {
        started = true;
      },
    };
    // The engine that was lost is the pool's to replace, whether or not the request would have had it loaded.
    const autoload = borrower.autoload || engines > 1;
    try {
      let position = 0;
      const lent = { signal: borrower.signal, autoload };
      for await (const result of pool.lendAll(model, lent, (loaded) => compute(loaded, attempt))) {
        const said = whatItSays(result);
        // A report of the prompt's progress: of interest once.
        if (said === null && engines > 1) continue;
        if (said !== null && position < delivered.length) {
          if (said !== delivered[position++]) throw diverged();
          continue;
        }
        if (said !== null) {
          delivered.push(said);
          position++;
        }
        yield result;
      }
      return;
    } catch (error) {
      if (!(error instanceof EngineLost) || borrower.signal.aborted) throw error;
      if (started && alone) throw givenUp('The engine was lost twice over this request', error);
      if (engines === MAX_ENGINES) throw givenUp(`The engine was lost ${engines} times`, error);
      alone ||= started;
    }
  }
}

/** Of an answer, not of how it came about: ids that llama.cpp draws, times, and logarithms that no reader compares. */
const NOT_SAID = new Set(['id', 'timings', 'logprobs']);

/** Null for a report of progress. */
function whatItSays({ choices, delta, text, content, prompt_progress }: Json): string | null {
  if (prompt_progress !== undefined) return null;
  return JSON.stringify([choices, delta, text, content], (key, value) => (NOT_SAID.has(key) ? undefined : value));
}

function givenUp(what: string, { message }: EngineLost): LlamatabError {
  return new LlamatabError('server_error', `${what}, and it is not tried again: ${message}`);
}

function diverged(): LlamatabError {
  return new LlamatabError(
    'server_error',
    'The engine was lost while it answered, and the next one, with another plan, does not give the same text again. Send the request again.',
  );
}
