/**
 * Streams that outlive the page that asked for them. A streamed request with the header `X-Conversation-Id` goes on
 * when its client disconnects, and its bytes are kept, so that the reloaded page can resume where it was.
 * llama-server's contract: `GET` and `DELETE /v1/stream`, `POST /v1/streams/lookup`.
 *
 * When the tab that hosts the engine is closed or reloaded, the next host finds them in the store, and goes on with one as soon as
 * somebody asks for it.
 */
import type { Json } from '../../engine/engine.ts';
import { invalid, isAbort, type LlamatabError } from '../../errors.ts';
import type { Attachments, RequestIdentity } from '../../protocol.ts';
import { isOver } from './continuation.ts';
import { errorEnvelope } from './error-response.ts';
import { json } from './json.ts';
import type { Scope } from './scope.ts';
import { EVENT_STREAM_HEADERS, encodeEvent, PING } from './sse.ts';

const CONVERSATION_HEADER = 'X-Conversation-Id';

/** Bytes kept of one stream, llama-server's number: some 20,000 tokens, at about 200 bytes an event. */
export const MAX_BUFFER_BYTES = 4 * 1024 * 1024;
/** Milliseconds that a stream is kept after its end: llama-server's number. */
export const KEEP_ENDED = 300_000;
/** Milliseconds that one is kept whose host is gone, and that nobody has asked for. */
export const KEEP_UNFINISHED = 3_600_000;
/** Milliseconds between writes to the store. What a host says in between, the next one says again. */
const STORE_INTERVAL = 1_000;
/** Ended streams to keep; beyond that, the oldest go. A quarter of a GiB if all were full. */
export const MAX_ENDED = 64;

type Handler = (scope: Scope) => Promise<Response>;

/** A stream as the next host needs it: what was asked, and what of the answer is known. */
export interface StoredStream {
  id: string;
  request: { method: string; url: string; headers: [name: string, value: string][]; body: ArrayBuffer };
  identity: RequestIdentity;
  /** Milliseconds since 1970; `completedAt` null while it goes on. */
  storedAt: number;
  completedAt: number | null;
  /** From the first byte on. */
  bytes: Uint8Array<ArrayBuffer>;
}

/** Keeps streams where other hosts of the site find them. Nothing here fails: without a place to store, there are none. */
export interface StreamStore {
  all(): Promise<StoredStream[]>;
  put(stream: StoredStream): Promise<void>;
  delete(id: string): Promise<void>;
}

const NO_STORE: StreamStore = {
  all: async () => [],
  put: async () => {},
  delete: async () => {},
};

export interface ResumableStreams {
  /**
   * Answers with `handle`. A request that names its conversation and asks for a stream is detached from its client: only
   * `DELETE /v1/stream` or the conversation's next request aborts it.
   */
  keep(scope: Scope, handle: Handler): Promise<Response>;
  /** `GET /v1/stream?conv_id=…&from=…`. @throws LlamatabError */
  resume(scope: Scope): Promise<Response>;
  /** `DELETE /v1/stream?conv_id=…`. @throws LlamatabError */
  stop(scope: Scope): Promise<Response>;
  /** `POST /v1/streams/lookup`. @throws LlamatabError */
  lookup(scope: Scope): Promise<Response>;
}

/**
 * @param clock Milliseconds since 1970.
 * @param answer Answers a request as the server does: for streams whose host is gone.
 */
export function createResumableStreams(
  clock: () => number,
  answer: (request: Request, attachments: Attachments) => Promise<Response>,
  store: StreamStore = NO_STORE,
): ResumableStreams {
  /** In order of their beginning; only the latest of each conversation. */
  const streams = new Map<string, KeptStream>();
  /** Requests of streams that are being taken up. */
  const recalled = new WeakSet<Request>();
  // What nobody came back for.
  stored();

  async function stored(): Promise<StoredStream[]> {
    const isKept = ({ completedAt, storedAt }: StoredStream) =>
      clock() - storedAt < (completedAt === null ? KEEP_UNFINISHED : KEEP_ENDED);
    const all = await store.all();
    await Promise.all(all.filter((one) => !isKept(one)).map(({ id }) => store.delete(id)));
    return all.filter((one) => isKept(one) && !streams.has(one.id));
  }

  function drop(stream: KeptStream): void {
    if (streams.get(stream.id) !== stream) return;
    streams.delete(stream.id);
    store.delete(stream.id);
  }

  async function stopStream(id: string): Promise<void> {
    const stream = streams.get(id);
    streams.delete(id);
    stream?.stop();
    await store.delete(id);
  }

  /** Takes a stream up that another host has begun. @returns the error that it failed with this time, if it did */
  async function recall(id: string): Promise<KeptStream | Response | undefined> {
    const found = (await stored()).find((one) => one.id === id);
    if (found === undefined || streams.has(id)) return streams.get(id);
    const { request, identity, bytes, completedAt, storedAt } = found;
    if (completedAt !== null) {
      const stream = new KeptStream(id, identity.time);
      streams.set(id, stream);
      stream.begin(true);
      await stream.fill(new Response(bytes).body as ReadableStream<Uint8Array>);
      stream.completedAt = completedAt;
      setTimeout(drop, storedAt + KEEP_ENDED - clock(), stream);
      return stream;
    }
    const delivered = bytes.byteLength > 0 ? { status: 200, bytes } : undefined;
    const { url, ...init } = request;
    const again = new Request(url, init);
    recalled.add(again);
    const response = await answer(again, { identity, delivered });
    if (!isEventStream(response)) return response;
    // It goes on without this reader.
    await response.body?.cancel();
    return streams.get(id);
  }

  /**
   * Writes what there is of a stream, now and then as long as it goes on, and at its end.
   * @param beginning What another host has said of it, and what stays known while this one has not come to its first byte.
   */
  function keepStored(
    stream: KeptStream,
    about: Pick<StoredStream, 'request' | 'identity'>,
    beginning: StoredStream['bytes'],
  ): void {
    const { id } = stream;
    let timer: ReturnType<typeof setTimeout> | undefined;
    stream.store = async () => {
      clearTimeout(timer);
      if (streams.get(id) !== stream) return;
      // Its beginning is no longer kept: nobody could make the rest.
      if (stream.firstByte > 0) return store.delete(id);
      const { completedAt, totalBytes } = stream;
      const bytes = totalBytes > 0 ? stream.from(0) : beginning;
      await store.put({ ...about, id, completedAt, storedAt: clock(), bytes });
      if (stream.completedAt === null) timer = setTimeout(stream.store, STORE_INTERVAL);
    };
    stream.store();
  }

  async function begin(stream: KeptStream, scope: Scope, handle: Handler) {
    /** Leaves nothing of it but what another host has said: what keeps this one from going on may pass. */
    const giveUp = () => {
      if (!stream.begunElsewhere) drop(stream);
      else if (streams.get(stream.id) === stream) streams.delete(stream.id);
    };
    try {
      const response = await handle(scope);
      const isStream = response.body !== null && isEventStream(response);
      // Most likely an error: the sender reads it, and there is nothing to resume.
      if (!isStream) giveUp();
      stream.begin(isStream);
      if (!isStream) return response;
      stream.fill(response.body as ReadableStream<Uint8Array>).then(() => {
        stream.completedAt = clock();
        stream.store();
        setTimeout(drop, KEEP_ENDED, stream);
        const ended = [...streams.values()].filter(({ completedAt }) => completedAt !== null);
        for (const oldest of ended.slice(0, -MAX_ENDED)) drop(oldest);
      });
      return new Response(stream.read(0), response);
    } catch (error) {
      giveUp();
      stream.begin(false);
      // Its client is still there, and did not abort it.
      if (stream.signal.aborted && isAbort(error)) throw stoppedEarly();
      throw error;
    }
  }

  return {
    async keep(scope, handle) {
      const id = scope.request.headers.get(CONVERSATION_HEADER);
      const copy = id ? scope.request.clone() : null;
      if (!id || copy === null || !(await asksForStream(scope))) return handle(scope);
      const { identity, delivered } = scope;
      const known = streams.get(id);
      // The same request: its page has lost the last host, and somebody else has had the stream taken up already.
      if (known && identity && known.identity === identity.seed && (await known.begun)) {
        return new Response(known.read(0), { headers: EVENT_STREAM_HEADERS });
      }
      const begunElsewhere = delivered !== undefined || recalled.has(scope.request);
      if (begunElsewhere) streams.get(id)?.stop();
      else stopStream(id);
      const stream = new KeptStream(id, identity?.time ?? clock(), identity?.seed, begunElsewhere);
      streams.set(id, stream);
      if (identity !== undefined) {
        const { method, url, headers } = copy;
        const request = { method, url, headers: [...headers], body: await copy.arrayBuffer() };
        keepStored(stream, { request, identity }, delivered?.bytes ?? new Uint8Array());
      }
      return begin(stream, scope.detached(stream.signal), handle);
    },

    async resume(scope) {
      const { query } = scope;
      const id = conversationOf(query);
      const stream = streams.get(id) ?? (await recall(id));
      if (stream instanceof Response) return stream;
      // A stream that fails before its first byte counts as never begun.
      if (!stream || !(await stream.begun)) {
        throw invalid('conv_id', 'Stream not found or expired', 'not_found_error');
      }
      return new Response(stream.read(readOffset(query.get('from'), stream)), { headers: EVENT_STREAM_HEADERS });
    },

    async stop(scope) {
      await stopStream(conversationOf(scope.query));
      return new Response(null, { status: 204 });
    },

    async lookup(scope) {
      const { conversation_ids: ids } = await scope.body();
      const wanted: unknown[] = Array.isArray(ids) ? ids : [];
      const elsewhere = (await stored()).map(({ identity, bytes, ...one }) => ({
        ...one,
        startedAt: identity.time,
        totalBytes: bytes.byteLength,
      }));
      const found = [...elsewhere, ...streams.values()].filter(({ id }) =>
        wanted.some((known) => typeof known === 'string' && (id === known || id.startsWith(`${known}::`))),
      );
      return json(found.map(describe));
    },
  };
}

/** A body that can't be read asks for nothing; its route answers with the reason. */
async function asksForStream(scope: Scope): Promise<boolean> {
  const body: Json = await scope.body().catch(() => ({}));
  return body.stream === true;
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('Content-Type')?.startsWith('text/event-stream') ?? false;
}

function conversationOf(query: URLSearchParams): string {
  const id = query.get('conv_id');
  if (id) return id;
  // llama-server's words: the id was once a part of the path.
  throw invalid('conv_id', 'Missing conversation id in path');
}

/** @throws LlamatabError if it is not an offset of the stream, or its bytes are no longer kept. */
function readOffset(from: string | null, stream: KeptStream): number {
  const offset = Number(from || 0);
  const isToCome = stream.begunElsewhere && !stream.ended;
  if (!/^\d*$/.test(from ?? '') || (offset > stream.totalBytes && !isToCome)) throw noSuchOffset();
  if (offset < stream.firstByte) throw offsetLost();
  return offset;
}

/** In llama-server's words; here it may have waited for a slot, too. */
function stoppedEarly(): LlamatabError {
  return invalid('conv_id', 'request cancelled by a stop while the model was loading');
}

function noSuchOffset(): LlamatabError {
  return invalid('from', "Invalid 'from' offset");
}

function offsetLost(): LlamatabError {
  return invalid('from', 'Stream offset lost, please restart');
}

/** llama-server's entry; times are Unix seconds. */
function describe({
  id,
  totalBytes,
  startedAt,
  completedAt,
}: Pick<KeptStream, 'id' | 'totalBytes' | 'startedAt' | 'completedAt'>): Json {
  return {
    conversation_id: id,
    is_done: completedAt !== null,
    total_bytes: totalBytes,
    started_at: Math.floor(startedAt / 1000),
    completed_at: completedAt === null ? 0 : Math.floor(completedAt / 1000),
  };
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const asEvent = (error: unknown) => new TextEncoder().encode(encodeEvent(errorEnvelope(error)));

/** The last bytes of a stream, for any number of readers. */
class KeptStream {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Writes what there is of it to the store, if there is one. */
  store: () => Promise<void> = async () => {};
  /** The seed of the request's identity, if it has one. */
  readonly identity: string | undefined;
  /** Whether another host has begun it, which may have said more than this one yet. */
  readonly begunElsewhere: boolean;
  /** Null while it goes on. */
  completedAt: number | null = null;
  /** Whether it got to its first byte. */
  readonly begun: Promise<boolean>;
  begin!: (begun: boolean) => void;
  /** All bytes so far, including those no longer kept. */
  totalBytes = 0;
  readonly #abort = new AbortController();
  #chunks: { offset: number; bytes: Uint8Array }[] = [];
  /** Where readers wait for this host to get to. */
  readonly #ahead = new Set<{ offset: number }>();
  #ended = false;
  /** Settles when there is more to read, or at the end; replaced by a new promise each time. */
  #changed!: Promise<void>;
  #announce!: () => void;

  constructor(id: string, startedAt: number, identity?: string, begunElsewhere = false) {
    this.id = id;
    this.startedAt = startedAt;
    this.identity = identity;
    this.begunElsewhere = begunElsewhere;
    this.begun = new Promise((resolve) => {
      this.begin = resolve;
    });
    this.#awaitChange();
  }

  /** Aborts the work behind it. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether nothing more will come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Offset of the first byte that is kept. */
  get firstByte(): number {
    return this.#chunks[0]?.offset ?? this.totalBytes;
  }

  #awaitChange(): void {
    this.#changed = new Promise((resolve) => {
      this.#announce = () => {
        this.#awaitChange();
        resolve();
      };
    });
  }

  /**
   * Reads all of `source`, with or without readers of its own. Resolves at its end, failed or not: a failure is already
   * part of the stream.
   */
  async fill(source: ReadableStream<Uint8Array>): Promise<void> {
    const reader = source.getReader();
    // Cancelling the source stops the engine.
    const cancel = () => void reader.cancel().catch(() => {});
    if (this.signal.aborted) cancel();
    this.signal.addEventListener('abort', cancel);
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.#push(value);
      }
    } catch (error) {
      // What was stopped is no failure.
      if (!this.signal.aborted) this.#push(asEvent(error));
    } finally {
      this.#end();
    }
  }

  #push(bytes: Uint8Array): void {
    // The last host's signs of life were other ones: with these, whoever counts its bytes would not be where it was.
    const isAwaited = [...this.#ahead].some(({ offset }) => offset > this.totalBytes);
    if (isAwaited && textOf(bytes) === PING) return;
    this.#chunks.push({ offset: this.totalBytes, bytes });
    this.totalBytes += bytes.byteLength;
    // Drops whole events, so that the first byte kept begins one.
    while (this.totalBytes - this.firstByte > MAX_BUFFER_BYTES) this.#chunks.shift();
    this.#announce();
  }

  #end(): void {
    this.#ended = true;
    this.#announce();
  }

  /** Ends the work and its readers' streams. */
  stop(): void {
    this.begin(false);
    this.#abort.abort();
    this.#end();
  }

  /** The bytes kept from `offset` on, then those still to come. Cancelling it does not affect the stream. */
  read(offset: number): ReadableStream<Uint8Array> {
    let position = offset;
    let left = false;
    const place = { offset };
    if (offset > this.totalBytes) this.#ahead.add(place);
    return new ReadableStream({
      pull: async (controller) => {
        while (position >= this.totalBytes && !this.#ended) await this.#changed;
        if (left) return;
        if (this.#ahead.delete(place)) position = Math.min(position, this.#errorAt ?? position);
        const isLost = position < this.firstByte;
        if (isLost || (position > this.totalBytes && !this.signal.aborted)) {
          controller.enqueue(asEvent(isLost ? offsetLost() : noSuchOffset()));
          return controller.close();
        }
        if (position >= this.totalBytes) return controller.close();
        const bytes = this.from(position);
        position += bytes.byteLength;
        controller.enqueue(bytes);
      },
      cancel: () => {
        left = true;
        this.#ahead.delete(place);
      },
    });
  }

  /** Offset of the error that it ended with, if it did. */
  get #errorAt(): number | undefined {
    const last = this.#chunks.at(-1);
    return last && isOver(textOf(last.bytes), '') ? last.offset : undefined;
  }

  /** A copy, as the reader's bytes may be transferred to another thread. */
  from(position: number): Uint8Array<ArrayBuffer> {
    const first = this.#chunks.findLastIndex(({ offset }) => offset <= position);
    const bytes = new Uint8Array(this.totalBytes - position);
    for (const chunk of this.#chunks.slice(first)) {
      const start = Math.max(0, position - chunk.offset);
      bytes.set(chunk.bytes.subarray(start), chunk.offset + start - position);
    }
    return bytes;
  }
}
