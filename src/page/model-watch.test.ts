import { expect, test } from 'vitest';
import { LlamatabError } from '../errors.ts';
import type { ModelEntry, ModelEvent } from '../model-status.ts';
import { HostLost } from '../transport/caller.ts';
import { type Send, type Watched, watchModels } from './model-watch.ts';

const work = { loaded: 40, total: 100, speed: 10 };

function entry(change: Partial<ModelEntry> = {}): ModelEntry {
  return {
    id: 'm',
    aliases: [],
    tags: [],
    object: 'model',
    created: 0,
    owned_by: 'llamacpp',
    architecture: { input_modalities: ['text'], output_modalities: ['text'] },
    source: 'site',
    can_remove: false,
    status: { value: 'unloaded' },
    meta: null,
    name: 'M',
    default: true,
    capabilities: ['chat'],
    size: 100,
    contextLength: 2048,
    authors: 'A',
    license: 'MIT',
    files: { state: 'absent', loaded: 0, total: 100, names: ['m.gguf'], pinned: false, lastUsed: null, kept: 'disk' },
    ...change,
  };
}

type Answer = () => Response | Promise<Response>;

const list =
  (...data: ModelEntry[]): Answer =>
  () =>
    Response.json({ data });

/** The events, and then the end: of the stream, or its failure. */
const stream =
  (events: ModelEvent[], failure?: Error): Answer =>
  () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        const text = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
        controller.enqueue(new TextEncoder().encode(`:\n\n${text}`));
        if (failure === undefined) controller.close();
      },
      pull(controller) {
        if (failure !== undefined) controller.error(failure);
      },
    });
    // As in Safari.
    Object.defineProperty(body, Symbol.asyncIterator, { value: undefined });
    const response = new Response(body);
    Object.defineProperty(response, 'body', { value: body });
    return response;
  };

const fail =
  (error: unknown): Answer =>
  () =>
    Promise.reject(error);

/** Watches with these answers, one after the other; the watch is over when there are none left. */
async function watch(...answers: Answer[]) {
  const asked: string[] = [];
  const seen: Partial<Watched>[] = [];
  const over = new AbortController();
  const send: Send = async (path) => {
    const answer = answers.shift();
    if (answer === undefined) {
      over.abort();
      throw over.signal.reason;
    }
    asked.push(path);
    return answer();
  };
  const error = await watchModels(send, (change) => void seen.push(change), over.signal, 0).catch((reason) => reason);
  return { asked, seen, error };
}

const modelsOf = (seen: Partial<Watched>[]) => seen.map(({ models }) => models?.[0]);

test("passes on what is ours, and puts llama-server's status into one word", async () => {
  const runtime = { variant: 'stock' } as NonNullable<ModelEntry['status']['runtime']>;
  const files = { ...entry().files, work };
  const { seen } = await watch(
    list(
      entry(),
      entry({ status: { value: 'sleeping', failed: true, error: 'no' }, homepage: 'h' }),
      entry({ status: { value: 'downloading', progress: { a: { done: 1, total: 2, speed: 3 } } } }),
      entry({ status: { value: 'downloading', progress: {} }, files }),
      entry({ status: { value: 'loaded', runtime } }),
    ),
  );
  const ours = {
    id: 'm',
    aliases: [],
    source: 'site',
    name: 'M',
    default: true,
    capabilities: ['chat'],
    size: 100,
    contextLength: 2048,
    authors: 'A',
    license: 'MIT',
    files: entry().files,
  };
  expect(seen).toEqual([
    {
      models: [
        { ...ours, state: 'available' },
        { ...ours, state: 'failed', error: 'no', homepage: 'h' },
        { ...ours, state: 'downloading', progress: { loaded: 1, total: 2, speed: 3 } },
        { ...ours, state: 'downloading', progress: work, files },
        { ...ours, state: 'loaded', runtime },
      ],
      modelsError: null,
      upstream: null,
    },
  ]);
});

test('takes progress from the events, and asks again after any other', async () => {
  const { asked, seen } = await watch(
    list(entry()),
    stream([
      { model: 'm', event: 'download_progress', data: { 'm.gguf': { done: 30, total: 100, speed: 5 } } },
      { model: 'm', event: 'download_progress', data: {}, work },
      { model: 'm', event: 'verify_progress', data: { ...work, state: 'verifying' } },
      { model: 'm', event: 'download_finished' },
    ]),
    list(entry({ status: { value: 'loading' } })),
  );
  expect(asked).toEqual(['models', 'models/sse', 'models']);
  expect(modelsOf(seen)).toMatchObject([
    { state: 'available' },
    { state: 'downloading', progress: { loaded: 30 }, files: { work: { loaded: 30 } } },
    { state: 'downloading', progress: { loaded: 40 }, files: { work: { loaded: 40 } } },
    { state: 'downloading', files: { work: { state: 'verifying' } } },
    { state: 'loading' },
  ]);
});

test.each([
  ['loses its host in the middle of the stream', new HostLost('closed')],
  ['is left by its own page', new DOMException('The page was left.', 'AbortError')],
  ['sees the stream end', undefined],
])('begins again when it %s', async (_, failure) => {
  const { asked, seen, error } = await watch(list(entry()), stream([], failure), list(entry()), stream([]));
  expect(error).toBeUndefined();
  expect(asked).toEqual(['models', 'models/sse', 'models', 'models/sse']);
  expect(seen.every(({ modelsError }) => modelsError === null)).toBe(true);
});

test('says what the server can’t do just now, and takes it back once it can', async () => {
  const { seen, error } = await watch(
    fail(new LlamatabError('unavailable_error', 'The catalog can’t be reached.')),
    list(entry()),
    stream([]),
  );
  expect(error).toBeUndefined();
  expect(seen).toMatchObject([{ modelsError: 'The catalog can’t be reached.' }, { modelsError: null }]);
});

test('ends with an answer that asking again won’t change, and asks no more', async () => {
  const refused = new LlamatabError('authentication_error', 'Invalid API Key');
  const { asked, error } = await watch(fail(refused), list(entry()));
  expect(error).toBe(refused);
  expect(asked).toEqual(['models']);
});

test('hides no mistake of our own', async () => {
  const { error } = await watch(() => Response.json({ data: null }), list(entry()));
  expect(error).toBeInstanceOf(TypeError);
});
