/** In the page: sends the bodies of `src/server/testing/fuzz.ts`, and says which of the answers are none. */
import { createFuzzer, FUZZ_ROUTES, type FuzzKind, type FuzzRequest } from '../../src/server/testing/fuzz.ts';
import { mulberry32 } from '../tiny-model/tiny-model.ts';

export { FUZZ_ROUTES };

export interface FuzzReport {
  /** How often each status came. */
  statuses: Record<number, number>;
  /** Each with what it takes to send the body again. */
  failures: string[];
}

/** llama-server's own: its exceptions' messages, and features that it is not started with. */
const STATUSES = [200, 400, 403, 404, 413, 500, 501];
const KNOWN_FAILURES = [
  /^\[json\.exception\./,
  /^Failed to parse tools: /,
  /^Cannot use both json_schema and grammar$/,
  /^'messages' is required$/,
  /^Unknown reasoning format: /,
  /^"prompt" (must not be empty|elements must be a string)/,
  /^vector::_M_range_check: /,
  /^(Unsupported content part type|Expected|Missing|Only|Invalid|Content) /,
];
/** Of bodies whose values alone are odd: nothing that a client repeats. */
const STATUSES_OF_PLAIN = [200, 400];
/** A hang, not a wait: nothing here takes a second. */
const HANG_MS = 60_000;

export interface FuzzOptions {
  seed: number;
  /** Bodies. */
  count: number;
  /** Requests at once. */
  concurrency: number;
  kind?: FuzzKind;
  /** In place of the default model. */
  model?: string;
}

/** @param index The route's place in the table. */
export async function fuzzRoute(
  index: number,
  { seed, count, concurrency, kind = 'bent', model }: FuzzOptions,
): Promise<FuzzReport> {
  const route = FUZZ_ROUTES[index];
  if (route === undefined) throw new RangeError(`no route ${index}`);
  const next = createFuzzer(mulberry32(seed + index));
  const report: FuzzReport = { statuses: {}, failures: [] };
  let sent = 0;
  const sendSome = async () => {
    while (sent < count) {
      const number = sent++;
      const request = withModel(next(route, kind), model);
      const { status, fault } = await send(request, kind === 'bent' ? STATUSES : STATUSES_OF_PLAIN);
      report.statuses[status] = (report.statuses[status] ?? 0) + 1;
      if (fault !== undefined) report.failures.push(describe(`seed ${seed + index}, body ${number}`, request, fault));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, sendSome));
  return report;
}

function withModel(request: FuzzRequest, model: string | undefined): FuzzRequest {
  if (model === undefined) return request;
  const body = { ...JSON.parse(new TextDecoder().decode(request.body)), model };
  return { ...request, body: new TextEncoder().encode(JSON.stringify(body)) };
}

async function send(
  { path, body, contentType, said }: FuzzRequest,
  statuses: readonly number[],
): Promise<{ status: number; fault?: string | undefined }> {
  let status = 0;
  try {
    const response = await fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': contentType },
      body,
      signal: AbortSignal.timeout(HANG_MS),
    });
    status = response.status;
    const text = await response.text();
    if (!statuses.includes(status)) return { status, fault: `status ${status}: ${text}` };
    if (said !== undefined && status === 200 && text.includes('\ufffd') && !sentPartly(body)) {
      return { status, fault: `a part of a character: ${text}` };
    }
    const isStream = response.headers.get('Content-Type') === 'text/event-stream';
    return { status, fault: isStream ? faultOfEvents(text) : faultOfJson(status, text) };
  } catch (error) {
    return { status, fault: String(error) };
  }
}

/** Whether a body has halves of characters itself, which an answer may quote. */
function sentPartly(body: Uint8Array): boolean {
  return /\ufffd|\\ud[89a-f]/.test(new TextDecoder().decode(body));
}

function faultOfJson(status: number, text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: { message: string; type: string } | null };
    // The status is sent when a request is accepted; of what comes later the engine alone can fail.
    if (status === 200)
      // Of a response that went well it is null.
      return error == null ? undefined : `an error of status 200: ${text}`;
    if (typeof error?.message !== 'string' || typeof error.type !== 'string') return `no error: ${text}`;
    return status === 500 && !KNOWN_FAILURES.some((known) => known.test(error.message))
      ? `status 500: ${text}`
      : undefined;
  } catch {
    return `no JSON: ${text}`;
  }
}

/** Of a stream that was accepted: each line is a field with JSON, and no event is an error. */
function faultOfEvents(text: string): string | undefined {
  if (!text.endsWith('\n\n')) return `a stream that is cut: ${text}`;
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith(':') || line.startsWith('event: ') || line === 'data: [DONE]') continue;
    try {
      if (!line.startsWith('data: ')) return `no event: ${line}`;
      const { error } = JSON.parse(line.slice('data: '.length)) as { error?: { message?: unknown } | null };
      if (error) return `an error amid a stream: ${line}`;
    } catch {
      return `no JSON: ${line}`;
    }
  }
  return undefined;
}

function describe(name: string, { path, body, contentType }: FuzzRequest, fault: string): string {
  const sent = new TextDecoder().decode(body).slice(0, 1000);
  return `${name}: POST ${path} (${contentType}) ${sent}\n→ ${fault.slice(0, 1000)}`;
}

/** A stream that begins again when it has ended, until it is told to stop. */
export function streamBeside(question: object): { stop(): Promise<string[]> } {
  let stopped = false;
  const texts: string[] = [];
  const running = (async () => {
    do {
      const response = await fetch('/v1/completions', {
        method: 'POST',
        body: JSON.stringify({ ...question, stream: true }),
      });
      texts.push(textOf(await response.text()));
    } while (!stopped);
    return texts;
  })();
  return {
    stop: () => {
      stopped = true;
      return running;
    },
  };
}

function textOf(events: string): string {
  if (!events.endsWith('data: [DONE]\n\n')) return `cut: ${events.slice(-500)}`;
  const chunks = events.split('\n\n').filter((event) => event.startsWith('data: {'));
  return chunks.map((event) => JSON.parse(event.slice('data: '.length)).choices[0]?.text ?? '').join('');
}
