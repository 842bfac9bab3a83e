/** What the chaos asks for, and what may come of it. */
import { user } from '../support/fixtures.ts';

export interface ChaosRequest {
  path: string;
  body: Record<string, unknown>;
}

/** What a page's `ask` gives (`test/pages/chaos-ask.js`). */
export interface Outcome {
  status: number;
  text: string;
  /** Milliseconds, the longest. */
  silence: number;
  failure: string | null;
}

/** `right`: the whole answer. `error`: the caller can't take it for an answer. `wrong`: anything else. */
export type Verdict = { kind: 'right' } | { kind: 'error' | 'wrong'; what: string };

/** A mix of streams and documents, chats and texts, short and long; each with its own seed. */
export const REQUESTS: ChaosRequest[] = [8, 40, 120, 400].flatMap((max_tokens, length) =>
  [true, false].flatMap((stream, mode): ChaosRequest[] => {
    const common = { max_tokens, stream, temperature: 1, seed: 1000 + 10 * length + mode };
    const text = `tell me of ${max_tokens} things, ${stream ? 'one by one' : 'all at once'}${', and more'.repeat(length * 5)}`;
    return [
      { path: '/v1/chat/completions', body: { ...common, messages: user(text) } },
      { path: '/v1/completions', body: { ...common, prompt: text } },
    ];
  }),
);

interface Choice {
  text?: string;
  delta?: { content?: string };
  message?: { content?: string };
  finish_reason?: string | null;
}

/** The text of a whole answer, and how it ended; null if it is none. */
export function answerOf({ body }: ChaosRequest, { status, text, failure }: Outcome): string | null {
  if (status !== 200 || failure !== null) return null;
  const events = body.stream === true ? eventsOf(text) : [text];
  if (events === null) return null;
  const choices = events.flatMap((event) => (JSON.parse(event) as { choices?: Choice[] }).choices ?? []);
  const said = choices.map(({ text, delta, message }) => text ?? delta?.content ?? message?.content ?? '').join('');
  const reasons = choices.flatMap(({ finish_reason }) => finish_reason ?? []);
  return reasons.length === 1 ? `${said}\n(${reasons[0]})` : null;
}

/** Null if the stream is not complete. */
function eventsOf(text: string): string[] | null {
  const events = text.split('\n\n').filter((event) => event.startsWith('data: '));
  const data = events.map((event) => event.slice('data: '.length));
  return data.pop() === '[DONE]' ? data : null;
}

/** @param expected `answerOf` the same request undisturbed. */
export function judge(request: ChaosRequest, outcome: Outcome, expected: string): Verdict {
  const { status, text, failure } = outcome;
  const error = errorIn(text);
  if (failure !== null) return { kind: 'error', what: error ?? failure };
  // In a document with the status of a success, it would be read as one.
  if (error !== null && (status !== 200 || request.body.stream === true)) return { kind: 'error', what: error };
  const answer = answerOf(request, outcome);
  if (answer === expected) return { kind: 'right' };
  const body = JSON.stringify(request.body);
  return {
    kind: 'wrong',
    what: `${body} gave ${status} ${JSON.stringify(answer ?? text)}, expected ${JSON.stringify(expected)}`,
  };
}

/** The message of an error envelope: the whole body, or an event of a stream. */
function errorIn(text: string): string | null {
  for (const part of [text, ...text.split('\n\n').map((event) => event.replace(/^data: /, ''))]) {
    if (!part.includes('"error"')) continue;
    try {
      const { error } = JSON.parse(part) as { error?: { message?: string } };
      if (typeof error?.message === 'string') return error.message;
    } catch {
      // Not a whole JSON: another part may be.
    }
  }
  return null;
}
