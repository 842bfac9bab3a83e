/**
 * Realtime sessions without a WebSocket, which no service worker can answer: `POST /v1/realtime` answers with the server's
 * events as a stream, and `POST /v1/realtime/{session}` takes the client's. `server.realtime()` makes a socket of the two.
 */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import { invalid, LlamatabError } from '../../errors.ts';
import { readParameters } from '../generate/params.ts';
import { answer } from '../http/answer.ts';
import { isObject } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { type EventFormat, encodeEvent } from '../http/sse.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';

/** Clients choose the ids; a UUID has 36 characters. */
const MAX_ID_LENGTH = 64;
/** Events waiting for the engine. With a microphone's ten a second, it is then more than a minute and a half behind. */
const MAX_WAITING = 1000;

export interface Realtime {
  open(scope: Scope): Promise<Response>;
  send(scope: Scope, session: string): Promise<Response>;
}

export function createRealtime(context: ServerContext): Realtime {
  const sessions = new Map<string, EventQueue>();

  async function* talk(id: string, session: AsyncGenerator<Json>): AsyncGenerator<Json> {
    try {
      yield* session;
    } finally {
      sessions.delete(id);
    }
  }

  return {
    async open(scope) {
      const body = await scope.body();
      const model = findModel(await context.models.catalog(), body.model, context.naming);
      const id = readId(body.session);
      if (sessions.has(id)) throw invalid('session', `There is a session '${id}' already. Choose another id`);
      const options = readOptions(body, context.random);
      const input = new EventQueue();
      sessions.set(id, input);
      scope.signal.addEventListener('abort', () => input.end());
      const session = context.pool.lendEach(model, scope, (loaded) => converse(loaded, options, input, scope));
      return answer(talk(id, session), { stream: true, events: REALTIME_EVENTS, abort: scope.abort });
    },

    async send(scope, id) {
      const events = await scope.json();
      const queue = sessions.get(id);
      if (queue === undefined) throw new LlamatabError('not_found_error', `There is no session '${id}': it has ended`);
      if (!Array.isArray(events) || !events.every(isObject))
        throw invalid('events', 'The body must be an array of events');
      if (queue.length + events.length > MAX_WAITING) {
        throw invalid('events', `The engine is ${queue.length} events behind; the limit is ${MAX_WAITING}. Send fewer`);
      }
      queue.push(events);
      return new Response(null, { status: 204 });
    },
  };
}

/** The stream ends with its session, without a `[DONE]`. */
const REALTIME_EVENTS: EventFormat = { result: encodeEvent, error: encodeEvent, end: '' };

function readId(value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= MAX_ID_LENGTH) return value;
  throw invalid('session', `'session' must be an id of the client's choice, of 1 to ${MAX_ID_LENGTH} characters`);
}

function readOptions({ intent, seed }: Json, random: () => number): Json {
  if (intent !== undefined && intent !== 'transcription') {
    throw invalid('intent', `'intent' must be "transcription" or left out, but is ${JSON.stringify(intent)}`);
  }
  return { ...(intent === undefined ? {} : { intent }), seed: readParameters({ seed }, random).body.seed };
}

async function* converse(
  loaded: LoadedModel,
  options: Json,
  input: EventQueue,
  { signal, caller }: Scope,
): AsyncGenerator<Json> {
  if (!loaded.info.sound.realtime) {
    throw invalid('model', 'This model does not support realtime audio', 'not_supported_error');
  }
  yield* loaded.converse({ options, input, caller, signal });
}

/** The client's events that the engine has not taken yet, in order. */
class EventQueue implements AsyncIterable<Json> {
  readonly #events: Json[] = [];
  #wake = () => {};
  #ended = false;

  get length(): number {
    return this.#events.length;
  }

  push(events: Json[]): void {
    this.#events.push(...events);
    this.#wake();
  }

  /** Ends the iteration, also of a reader that is waiting. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<Json, undefined> {
    return {
      next: async () => {
        for (;;) {
          if (this.#ended) return { done: true, value: undefined };
          const value = this.#events.shift();
          if (value !== undefined) return { done: false, value };
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      },
      return: async () => {
        this.end();
        return { done: true, value: undefined };
      },
    };
  }
}
