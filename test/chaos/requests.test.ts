import { describe, expect, it } from 'vitest';
import { answerOf, type ChaosRequest, judge, type Outcome } from './requests.ts';

const stream: ChaosRequest = { path: '/v1/chat/completions', body: { stream: true } };
const document: ChaosRequest = { path: '/v1/completions', body: { stream: false } };
const outcome = (text: string, rest: Partial<Outcome> = {}): Outcome => ({
  status: 200,
  text,
  silence: 0,
  failure: null,
  ...rest,
});

const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`;
const said = (content: string) => event({ choices: [{ delta: { content }, finish_reason: null }] });
const END = event({ choices: [{ delta: {}, finish_reason: 'length' }] });
const DONE = 'data: [DONE]\n\n';
const WHOLE = `: ping\n\n${said('a')}${said('b')}${END}${DONE}`;
const EXPECTED = 'ab\n(length)';
const ERROR = { error: { code: 500, message: 'lost' } };

it('an answer is its text and how it ended', () => {
  expect(answerOf(stream, outcome(WHOLE))).toBe(EXPECTED);
  const choices = [{ text: 'ab', finish_reason: 'length' }];
  expect(answerOf(document, outcome(`  ${JSON.stringify({ choices })}`))).toBe(EXPECTED);
  expect(answerOf(stream, outcome(said('a') + END))).toBeNull();
});

describe('what came of a request', () => {
  it.each<[string, ChaosRequest, Outcome, string]>([
    ['the whole answer', stream, outcome(WHOLE), 'right'],
    ['an error status', document, outcome(JSON.stringify(ERROR), { status: 503 }), 'error'],
    ['an error event', stream, outcome(said('a') + event(ERROR) + DONE), 'error'],
    ['a body that breaks off', stream, outcome(said('a'), { failure: 'TypeError: network error' }), 'error'],
    [
      'a document that breaks off after its error',
      document,
      outcome(JSON.stringify(ERROR), { failure: 'TypeError' }),
      'error',
    ],
    ['no answer at all', document, outcome('', { status: 0, failure: 'TypeError: Failed to fetch' }), 'error'],
    ['an error that reads as a success', document, outcome(JSON.stringify(ERROR)), 'wrong'],
    ['a stream that ends too early', stream, outcome(said('a')), 'wrong'],
    ['half of the text, as if it were whole', stream, outcome(said('a') + END + DONE), 'wrong'],
    ['a text twice', stream, outcome(said('a') + WHOLE), 'wrong'],
    ['the host’s own 404', document, outcome('not found', { status: 404 }), 'wrong'],
  ])('%s', (_, request, came, kind) => {
    expect(judge(request, came, EXPECTED).kind).toBe(kind);
  });
});
