/**
 * Going on with an answer that another host has begun. Routes make the whole answer once more, and its beginning must be what was
 * delivered: byte for byte, or, in a stream of events, by all that is not a matter of time and place (timings, signs of life).
 * What was delivered stands at the beginning of the body as it was; `restOf` takes it away, last of all.
 */
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { Delivered } from '../../protocol.ts';
import { isObject } from './json.ts';

/** Fields that differ from host to host, or hang on how exactly it computes, while the text is the same. */
const PASSING: ReadonlySet<string> = new Set([
  'cached_tokens',
  'cache_read_input_tokens',
  'completed_at',
  'completion_probabilities',
  'generation_settings',
  'id',
  'id_slot',
  'input_tokens',
  'logprobs',
  'sequence_number',
  'system_fingerprint',
  'timings',
  'tokens_cached',
]);

/** The data of each event that was delivered; what is no JSON is left out. */
export function eventsIn(text: string): Json[] {
  return text.split('\n\n').flatMap((event) => {
    const data = dataOf(event);
    return data === null ? [] : [data];
  });
}

/** Of one event as it is written: its JSON; null for a comment, and for `[DONE]`. */
function dataOf(event: string): Json | null {
  const json = /^data: (\{.*)$/m.exec(event)?.[1];
  return json === undefined ? null : JSON.parse(json);
}

/** Whether nothing can follow: it ended, or with an error. */
export function isOver(text: string, end: string): boolean {
  if (end !== '' && text.endsWith(end)) return true;
  const last = eventsIn(text).at(-1);
  return last !== undefined && isObject(last.error);
}

/**
 * The results that were not delivered yet.
 * @param results All of them, from the first.
 * @param given The data of the events that were delivered.
 * @param write A result as an event.
 * @param otherwise Makes the rest where `results` turn out to be other ones; null where it can't.
 * @throws LlamatabError `unavailable_error` where it can't
 */
export async function* notDelivered<T>(
  results: AsyncGenerator<T>,
  given: Json[],
  write: (result: T) => string,
  otherwise: () => AsyncGenerator<T> | null,
): AsyncGenerator<T> {
  // Several answers side by side come in any order.
  const expected = new Map<unknown, string[]>();
  let left = 0;
  for (const event of given) {
    if (isProgress(event)) continue;
    const ofChoice = expected.get(choiceOf(event)) ?? [];
    expected.set(choiceOf(event), ofChoice);
    ofChoice.push(essenceOf(event));
    left++;
  }
  while (left > 0) {
    const { done, value } = await results.next();
    const event = done ? null : dataOf(write(value));
    if (event !== null && isProgress(event)) continue;
    const choice = event === null ? null : choiceOf(event);
    const same = expected.get(choice)?.shift();
    if (same === undefined && choice !== null && !done) {
      // It is further than it was, and another choice is not yet.
      yield value;
      continue;
    }
    if (event === null || essenceOf(event) !== same) {
      await results.return(undefined);
      const rest = otherwise();
      if (rest === null) throw cannotGoOn();
      return yield* rest;
    }
    left--;
  }
  yield* results;
}

export function cannotGoOn(): LlamatabError {
  return new LlamatabError(
    'unavailable_error',
    'The tab that ran the engine was closed while it answered. Another has taken over and gives another answer from here on: its ' +
      'engine runs in another way, or the upstream server had begun the answer. Only plain text of one answer of this device can be ' +
      'continued. Send the request again.',
  );
}

/** How far the prompt has come: how often that is told hangs on the device. */
function isProgress(event: Json): boolean {
  return event.prompt_progress !== undefined;
}

/** Which of several answers an event belongs to; null for one of all of them, or where there are not several. */
function choiceOf({ choices, index, stop }: Json): unknown {
  if (Array.isArray(choices)) return choices.length === 0 ? null : (choices[0] as Json).index;
  // llama-server's own format. Other APIs number other things.
  return typeof stop === 'boolean' ? index : null;
}

function essenceOf(event: Json): string {
  return JSON.stringify(event, (name, value) => (PASSING.has(name) ? undefined : value));
}

/**
 * An answer without what was delivered of it.
 * @throws Error with the reason if it is none that could go on from there
 */
export async function restOf(response: Response, { status, bytes }: Delivered): Promise<Response> {
  if (response.status !== status) throw new Error(await reasonOf(response));
  const isJson = response.headers.get('Content-Type')?.startsWith('application/json') ?? false;
  // Whitespace before JSON was a sign of life.
  const given = isJson && bytes.every((byte) => byte === SPACE) ? new Uint8Array() : bytes;
  if (response.body === null) return response;
  return new Response(response.body.pipeThrough(without(given)), response);
}

const SPACE = 0x20;

async function reasonOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text;
  }
}

/** Takes `given` off the beginning. Fails if the beginning is another. */
function without(given: Uint8Array): TransformStream<Uint8Array, Uint8Array> {
  let at = 0;
  const fail = () => {
    throw cannotGoOn();
  };
  return new TransformStream({
    transform(bytes, controller) {
      const known = Math.min(bytes.byteLength, given.byteLength - at);
      for (let i = 0; i < known; i++) if (bytes[i] !== given[at + i]) fail();
      at += known;
      if (known < bytes.byteLength) controller.enqueue(bytes.subarray(known));
    },
    flush() {
      if (at < given.byteLength) fail();
    },
  });
}
