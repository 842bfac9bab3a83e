/** Transcripts of a native llama-server, and how an answer of ours is held against one: see test/golden/README.md. */
import { readFileSync } from 'node:fs';
import { path } from './paths.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are of many shapes
export type Any = any;

export interface Recorded {
  /** Of its file, from 1. */
  line: number;
  request: { method: string; path: string; body?: Any; raw?: string };
  response: { status: number; headers: Record<string, string>; json?: Any; events?: string; text?: string };
}

export function readGolden(model: 'chat' | 'embeddings'): Recorded[] {
  const text = readFileSync(path(`test/golden/llama-server-${model}.jsonl`), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line, index) => ({ line: index + 1, ...JSON.parse(line) }));
}

/** Where two answers differ: `choices[].text`, with the indices of arrays left out. */
export interface Difference {
  at: string;
  expected: unknown;
  actual: unknown;
}

/** Logprobs: two tokens that are nearer than this may come in either order. */
const TIE = 0.5;

/** Logprob of a token that comes once in ten thousand times. */
const RARE = -9;

/** Cosine of two embeddings that are the same but for the order of summing. */
const SAME_DIRECTION = 0.9995;

/** Keys whose values are another server's, or another moment's: only their form is compared. */
const FORMS: Record<string, RegExp> = {
  id: /^(chatcmpl-[A-Za-z0-9]{32}|(resp|msg|rs|fc|call)_[A-Za-z0-9]{32})$/,
  item_id: /^(msg|rs|fc)_[A-Za-z0-9]{32}$/,
  created: /^1\d{9}$/,
  created_at: /^1\d{9}$/,
  completed_at: /^1\d{9}$/,
  system_fingerprint: /^b\d+-[0-9a-f]{7}$/,
  build_info: /^b\d+-[0-9a-f]{7}$/,
  media_marker: /^<__media(_.+)?__>$/,
};

/** Measured, of what the cache held, or of the slot that was free: any number that can be. */
const MEASURED = /(^|\.)((timings|prompt_progress)\.\w+|cached_tokens|cache_read_input_tokens|tokens_cached|id_slot)$/;

export function compare(expected: unknown, actual: unknown, at = '', differences: Difference[] = []): Difference[] {
  const differ = () => void differences.push({ at, expected, actual });
  const key = at.slice(at.lastIndexOf('.') + 1);
  if (MEASURED.test(at) && typeof expected === 'number') {
    if (typeof actual !== 'number' || !(actual >= 0)) differ();
  } else if (key in FORMS && typeof expected === typeof actual && !Array.isArray(expected)) {
    // An id of a model or a token is a value like any other.
    const form = FORMS[key] as RegExp;
    if (form.test(String(expected)) ? !form.test(String(actual)) : expected !== actual) differ();
  } else if (Array.isArray(expected) && Array.isArray(actual)) {
    if (/^embedding(\[\])?$/.test(key) && typeof expected[0] === 'number') {
      if (!sameVector(expected, actual)) differ();
    } else if (/^top_(log)?probs$/.test(key)) {
      compareCandidates(expected, actual, at, differences);
    } else {
      if (expected.length !== actual.length)
        differences.push({ at: `${at}[]`, expected: expected.length, actual: actual.length });
      for (let i = 0; i < Math.min(expected.length, actual.length); i++) {
        compare(expected[i], actual[i], `${at}[]`, differences);
      }
    }
  } else if (isRecord(expected) && isRecord(actual)) {
    for (const name of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      const below = at === '' ? name : `${at}.${name}`;
      if (!(name in actual)) differences.push({ at: below, expected: expected[name], actual: undefined });
      else if (!(name in expected)) differences.push({ at: below, expected: undefined, actual: actual[name] });
      else compare(expected[name], actual[name], below, differences);
    }
  } else if (/(^|_)(log)?prob$/.test(key) && typeof expected === 'number' && typeof actual === 'number') {
    // Of what is as unlikely as that, rounding decides.
    const isRare = key === 'logprob' && Math.max(expected, actual) < RARE;
    if (Math.abs(expected - actual) > TIE && !isRare) differ();
  } else if (key === 'embedding' && typeof expected === 'string' && typeof actual === 'string') {
    if (!sameVector(floats(expected), floats(actual))) differ();
  } else if (expected !== actual) differ();
  return differences;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The likeliest tokens: neighbours may come in either order, and the last be another one. */
function compareCandidates(expected: Any[], actual: Any[], at: string, differences: Difference[]): void {
  if (expected.length !== actual.length) {
    differences.push({ at: `${at}[]`, expected: expected.length, actual: actual.length });
  }
  const common = expected.filter(({ id }) => actual.some((other) => other.id === id));
  if (common.length < expected.length - 1) differences.push({ at, expected, actual });
  for (const each of common) {
    const same = actual.find(({ id }) => id === each.id);
    compare(each, same, `${at}[]`, differences);
  }
}

/** Of one direction and length. */
function sameVector(a: number[], b: number[]): boolean {
  const length = (vector: number[]) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return cosine(a, b) > SAME_DIRECTION && Math.abs(length(a) / length(b) - 1) < 0.02;
}

function floats(base64: string): number[] {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  return Array.from(new Float32Array(bytes.buffer));
}

export function cosine(a: number[], b: number[]): number {
  if (a.length !== b.length) return Number.NaN;
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

// --- Streams ---------------------------------------------------------------------------------------------------------

export interface StreamEvent {
  name: string | null;
  data: Any;
}

export function parseStream(text: string): StreamEvent[] {
  return text
    .split('\n\n')
    .filter((event) => event !== '' && !event.startsWith(':'))
    .map((event) => {
      const name = /^event: (.*)$/m.exec(event)?.[1] ?? null;
      const data = /^data: (.*)$/m.exec(event)?.[1] ?? '';
      return { name, data: data === '[DONE]' ? data : JSON.parse(data) };
    });
}

/**
 * What of a stream has to be the same: the names and shapes of its events in the order in which they first come, and what
 * they come to. (`data: null` between the streams of several prompts is llama-server's slip.)
 */
export function summarize(text: string): unknown {
  const events = parseStream(text).filter(({ data }) => data !== null);
  const shapes = new Map<string, unknown>();
  for (const { name, data } of events) {
    const shape = { name, data: shapeOf(data) };
    shapes.set(`${name} ${JSON.stringify(shape)}`, shape);
  }
  const last = (key: string) => events.findLast(({ data }) => data[key] !== undefined)?.data[key];
  return {
    shapes: [...shapes.values()],
    text: textsOf({ events: text }),
    usage: last('usage'),
    finish: events.flatMap(({ data }) => data.choices ?? []).findLast((choice: Any) => choice.finish_reason)
      ?.finish_reason,
  };
}

function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
  if (!isRecord(value)) return value === null ? null : typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, shapeOf(each)]),
  );
}

// --- Texts -----------------------------------------------------------------------------------------------------------

/** What the model wrote, by choice; of a stream, put together. */
export function textsOf({ json, events }: { json?: Any; events?: string }): string[] {
  if (events === undefined) return [json].flat().flatMap(textsOfAnswer);
  const texts: string[] = [];
  for (const { data } of parseStream(events)) {
    const add = (index: number, text: unknown) => {
      texts[index] = (texts[index] ?? '') + (typeof text === 'string' ? text : '');
    };
    if (data?.choices) for (const { index, delta, text } of data.choices) add(index, delta?.content ?? text);
    else if (data?.type === 'response.output_text.delta') add(0, data.delta);
    else if (data?.type === 'content_block_delta') add(0, data.delta.text);
    else if (typeof data?.content === 'string') add(data.index ?? 0, data.content);
  }
  return texts;
}

function textsOfAnswer(json: Any): string[] {
  if (json?.choices) return json.choices.map((choice: Any) => choice.message?.content ?? choice.text);
  if (json?.output) return json.output.flatMap((item: Any) => (item.content ?? []).map(({ text }: Any) => text));
  if (Array.isArray(json?.content)) return json.content.map(({ text }: Any) => text);
  return typeof json?.content === 'string' ? [json.content] : [];
}

export interface Token {
  token: string;
  logprob: number;
  top_logprobs: { token: string; logprob: number }[];
}

/** Whether the first token that differs from `expected` was nearly tied with the one that stands there. */
export function tiedAtDivergence(tokens: readonly Token[], expected: string): boolean {
  let rest = expected;
  for (const { token, logprob, top_logprobs } of tokens) {
    if (rest.startsWith(token) && rest !== token) {
      rest = rest.slice(token.length);
      continue;
    }
    return top_logprobs.some((other) => rest.startsWith(other.token) && logprob - other.logprob < TIE);
  }
  return false;
}

/** Whether somewhere in the text another token could nearly as well have stood, with the same letters. */
export function tiedTokens(tokens: readonly Token[], text: string): boolean {
  let rest = text;
  return tokens.some(({ token, logprob, top_logprobs }) => {
    const here = rest;
    rest = rest.slice(token.length);
    return top_logprobs.some(
      (other) =>
        other.token !== token && other.token !== '' && here.startsWith(other.token) && logprob - other.logprob < TIE,
    );
  });
}

/** Anthropic counts what came from the cache by itself: which of its tokens did is another moment's. */
export function withAllInputTokens(json: Any): Any {
  const usage = json?.usage;
  if (usage?.cache_read_input_tokens === undefined) return json;
  return { ...json, usage: { ...usage, input_tokens: usage.input_tokens + usage.cache_read_input_tokens } };
}
