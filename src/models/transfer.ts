/**
 * Fetches one piece, part by part: by ranges if the server has them, otherwise as one stream that is cut into parts. A part is
 * passed on only when it is whole, and has the SHA-256 that the catalog names, if it names one.
 */
import { anySignal } from '../abortable.ts';
import { LlamatabError } from '../errors.ts';
import { type FetchLike, messageOf, type Network, pause, sha256, withoutQuery } from './http.ts';
import { CHANGED, judgeResponse, OUT_OF_STEP, type Validators } from './judge-response.ts';
import type { DownloadState } from './models.ts';
import type { Part, PieceLayout } from './parts-layout.ts';

/**
 * Milliseconds to wait before each further attempt without progress, give or take a quarter so that a restarted server is not
 * met by all clients at once. A minute in all: a person should be told of what lasts longer.
 */
export const RETRY_DELAYS: readonly number[] = [500, 1000, 2000, 4000, 8000, 15_000, 30_000];

/** Milliseconds without a byte after which a connection counts as lost: browsers themselves wait for minutes. */
export const STALL_TIMEOUT = 30_000;

/** Seconds of `Retry-After` that are waited for. Of a server that asks for more, the user is told. */
const MAX_RETRY_AFTER = 15 * 60;

/** Bytes that an attempt has to bring to count as progress: a server that sends a byte at a time is given up in the end. */
const PROGRESS = 256 * 1024;

export interface TransferOptions {
  fetch: FetchLike;
  network: Network;
  signal: AbortSignal;
  /** Further headers for a URL: a token. */
  headers: (url: string) => Record<string, string>;
  /** SHA-256 that the part has to have, if one is known: the published one, or that of its first download. */
  expected: (part: Part) => string | undefined;
  /** Whether the part still has to be fetched. */
  isMissing: (part: Part) => boolean;
  /** Runs one piece of work at a time: hashing and storing take the size of a part in memory once more. */
  exclusive: <T>(work: () => Promise<T>) => Promise<T>;
  /** Takes a verified part. An error that it throws ends the download. */
  store: (part: Part, sha256: string, bytes: Uint8Array<ArrayBuffer>) => Promise<void>;
  /** Bytes of a part that have come: fewer than before if it starts again. */
  onBytes: (part: Part, received: number) => void;
  /** What the transfer waits for, and why. */
  onState: (state: DownloadState, reason?: string, delay?: number) => void;
  /** The server asks for fewer requests. */
  onBusy: () => void;
  /** What was known of the file when its first part was stored; undefined before. */
  validators: Validators | undefined;
  /** Called once, before the first part is stored. */
  onValidators: (validators: Validators) => Promise<void>;
  retryDelays: readonly number[];
  stallTimeout: number;
  random: () => number;
}

type Attempt =
  | { result: 'done' }
  /** To be continued where it stopped, after the seconds that the server asked for, or else a while. */
  | { result: 'lost'; failure: LlamatabError; after?: number | null }
  /** What came is wrong: to be fetched again from its beginning, once. */
  | { result: 'damaged'; failure: LlamatabError }
  | { result: 'failed'; failure: LlamatabError };

/** A part under way; in a stream, the one that is being received. */
interface Underway {
  part: Part;
  bytes: Uint8Array<ArrayBuffer>;
  received: number;
}

export class PieceTransfer {
  readonly #piece: PieceLayout;
  readonly #options: TransferOptions;
  /** Whether the server supports `Range`: its first answer tells. */
  #mode: 'unknown' | 'ranges' | 'stream' = 'unknown';
  /** Pending until the first answer has come. */
  #probe: Promise<void> | undefined;
  #onProbed = () => {};
  #validators: Validators | undefined;

  constructor(piece: PieceLayout, options: TransferOptions) {
    this.#piece = piece;
    this.#options = options;
    this.#validators = options.validators;
  }

  /**
   * Downloads, verifies and stores a part. From a server without `Range`, it does so with all missing parts of the piece, and
   * later calls for these return at once.
   * @throws LlamatabError `unavailable_error` naming the part, what was wrong with it and what to do; the signal's reason when
   *   aborted; whatever `store` throws.
   */
  async bring(part: Part): Promise<void> {
    while (this.#probe !== undefined) await this.#probe;
    if (this.#mode === 'stream' || !this.#options.isMissing(part)) return;
    if (this.#mode === 'unknown') {
      this.#probe = new Promise((resolve) => {
        this.#onProbed = () => {
          this.#probe = undefined;
          resolve();
        };
      });
    }
    try {
      await this.#retrying(part);
    } finally {
      this.#onProbed();
    }
  }

  async #retrying(part: Part): Promise<void> {
    const { signal, onBytes, retryDelays } = this.#options;
    const underway: Underway = { part, bytes: allocate(part), received: 0 };
    let retries = 0;
    let secondChance = true;
    for (;;) {
      const before = this.#progressOf(underway);
      const attempt = await this.#attempt(underway);
      signal.throwIfAborted();
      if (attempt.result === 'done') return;
      if (this.#progressOf(underway) - before >= PROGRESS) retries = 0;
      if (attempt.result === 'damaged' && secondChance) {
        secondChance = false;
        underway.received = 0;
        onBytes(underway.part, 0);
      } else if (attempt.result === 'lost') {
        if (await this.#wait(attempt, retryDelays[retries])) retries++;
      } else {
        throw attempt.failure;
      }
    }
  }

  /**
   * Waits for the network if there is none, as long as the server asked for, or for `delay`.
   * @returns whether the attempt counts: without a network nothing was really tried.
   * @throws the failure if there is no point in waiting
   */
  async #wait(attempt: Attempt & { result: 'lost' }, delay: number | undefined): Promise<boolean> {
    const { network, signal, onState, random } = this.#options;
    const reason = attempt.failure.message;
    if (!network.online) {
      onState('offline', reason);
      await network.whenOnline(signal);
      return false;
    }
    if (delay === undefined || (attempt.after ?? 0) > MAX_RETRY_AFTER) throw attempt.failure;
    const milliseconds = attempt.after ? attempt.after * 1000 : delay * (0.75 + random() / 2);
    onState('retrying', reason, milliseconds);
    await pause(milliseconds, signal);
    return true;
  }

  /** Bytes that need not be fetched again. */
  #progressOf(underway: Underway): number {
    if (this.#mode !== 'stream') return underway.received;
    return this.#piece.parts.reduce((sum, part) => sum + (this.#options.isMissing(part) ? 0 : part.size), 0);
  }

  async #attempt(underway: Underway): Promise<Attempt> {
    const { fetch, signal, headers, stallTimeout } = this.#options;
    const { part } = underway;
    const { url, parts } = this.#piece;
    const from = part.start + underway.received;
    const ranged = this.#mode !== 'stream' && (parts.length > 1 || underway.received > 0);

    const attempt = new AbortController();
    const either = anySignal(signal, attempt.signal);
    /** What `promise` brings from the network. @throws ConnectionLost if it fails, or nothing comes for too long */
    const unlessStalled = async <T>(promise: Promise<T>): Promise<T> => {
      const stall = () => attempt.abort(new Error(`nothing came for ${stallTimeout / 1000} s`));
      const timer = setTimeout(stall, stallTimeout);
      try {
        return await promise;
      } catch (error) {
        // Another attempt would fail likewise.
        if (error instanceof LlamatabError) throw error;
        // fetch and its body reject with a TypeError that says little ("Failed to fetch"); a stall has its own reason.
        throw new ConnectionLost(either.aborted ? either.reason : error);
      } finally {
        clearTimeout(timer);
      }
    };
    try {
      const range: Record<string, string> = ranged ? { Range: `bytes=${from}-${part.start + part.size - 1}` } : {};
      // no-store: the HTTP cache would hold gigabytes a second time, and perhaps an older version of them.
      const response = await unlessStalled(
        fetch(url, { cache: 'no-store', headers: { ...headers(url), ...range }, signal: either }),
      );
      const refused = await this.#examine(response, underway, ranged);
      if (refused !== undefined) return refused;
      const reader = response.body?.getReader();
      const read: Read = async () => (reader ? unlessStalled(reader.read()) : { done: true, value: undefined });
      return this.#mode === 'stream' ? await this.#readStream(read, underway) : await this.#readPart(read, underway);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      const at = underway.received;
      return {
        result: 'lost',
        failure: this.#failure(
          part,
          `the connection was lost at byte ${at} of ${part.size} (${messageOf(error.cause)}). ` +
            'What is complete stays stored: try again when the network is back.',
          error.cause,
        ),
      };
    } finally {
      // Ends the transfer if the answer was refused.
      attempt.abort();
    }
  }

  /** Acts on what the status and the headers tell. @returns why the body is not read; undefined if it is to be read */
  async #examine(response: Response, underway: Underway, ranged: boolean): Promise<Attempt | undefined> {
    const { part, received } = underway;
    const { headers, onBusy, onValidators } = this.#options;
    const withToken = 'Authorization' in headers(this.#piece.url);
    const judgement = judgeResponse(response, { part, received, ranged, withToken, validators: this.#validators });
    const { sends, refusal, validators } = judgement;
    if (refusal?.busy) onBusy();
    if (sends !== null) {
      if (ranged && sends === 'file') this.#withoutRanges(underway);
      else if (this.#piece.parts.length > 1 && this.#mode === 'unknown') this.#mode = 'ranges';
      this.#onProbed();
    }
    if (validators !== undefined) {
      this.#validators = validators;
      await onValidators(validators);
    }
    if (refusal === null) return undefined;
    const { result, what, after } = refusal;
    const failure = this.#failure(part, what);
    return result === 'lost' ? { result, failure, after: after ?? null } : { result, failure };
  }

  /** The server sends the whole file instead of a range: all missing parts are cut from it. */
  #withoutRanges(underway: Underway): void {
    underway.received = 0;
    if (this.#piece.parts.length > 1) this.#mode = 'stream';
    this.#options.onBytes(underway.part, 0);
  }

  /** Reads the rest of a part. */
  async #readPart(read: Read, underway: Underway): Promise<Attempt> {
    const { part, bytes } = underway;
    for (let next = await read(); !next.done; next = await read()) {
      if (underway.received + next.value.length > part.size) {
        return this.#fail(
          'damaged',
          part,
          `the file goes on after the ${part.size} bytes that the catalog says. ${OUT_OF_STEP}`,
        );
      }
      bytes.set(next.value, underway.received);
      underway.received += next.value.length;
      this.#options.onBytes(part, underway.received);
    }
    if (underway.received < part.size) {
      return this.#fail(
        'damaged',
        part,
        `the file ends after ${underway.received} of ${part.size} bytes. ${OUT_OF_STEP}`,
      );
    }
    return this.#accept(underway);
  }

  /** Reads the whole piece and skips the parts that are stored: without `Range` there is no other way to get the rest. */
  async #readStream(read: Read, underway: Underway): Promise<Attempt> {
    const parts = this.#piece.parts.values();
    let rest: Uint8Array = new Uint8Array();
    for (const part of parts) {
      const wanted = this.#options.isMissing(part);
      if (wanted && underway.part !== part) {
        underway.part = part;
        if (underway.bytes.length !== part.size) underway.bytes = allocate(part);
      }
      let received = 0;
      if (wanted) underway.received = 0;
      while (received < part.size) {
        if (rest.length === 0) {
          const next = await read();
          if (next.done) {
            const at = part.start + received;
            return this.#fail(
              'damaged',
              part,
              `the file ends after ${at} of ${this.#piece.size} bytes. ${OUT_OF_STEP}`,
            );
          }
          rest = next.value;
        }
        const taken = rest.subarray(0, part.size - received);
        rest = rest.subarray(taken.length);
        if (wanted) {
          underway.bytes.set(taken, received);
          underway.received = received + taken.length;
          this.#options.onBytes(part, underway.received);
        }
        received += taken.length;
      }
      if (!wanted) continue;
      const accepted = await this.#accept(underway);
      if (accepted.result !== 'done') return accepted;
    }
    if (rest.length > 0 || !(await read()).done) {
      return this.#fail(
        'failed',
        underway.part,
        `the file goes on after the ${this.#piece.size} bytes that the catalog says. ${OUT_OF_STEP}`,
      );
    }
    return { result: 'done' };
  }

  /** Checks the part's hash, and stores the part. */
  #accept({ part, bytes }: Underway): Promise<Attempt> {
    const { exclusive, expected, store } = this.#options;
    return exclusive(async () => {
      const actual = await sha256(bytes);
      const wanted = expected(part);
      if (wanted !== undefined && actual !== wanted) {
        const why =
          part.sha256 === undefined
            ? `when it was first downloaded it was ${wanted}. ${CHANGED}`
            : `the catalog says ${wanted}. ${OUT_OF_STEP}`;
        return this.#fail('damaged', part, `its SHA-256 is ${actual}, ${why}`);
      }
      await store(part, actual, bytes);
      return { result: 'done' };
    });
  }

  #fail(result: 'damaged' | 'failed', part: Part, what: string): Attempt {
    return { result, failure: this.#failure(part, what) };
  }

  #failure(part: Part, what: string, cause?: unknown): LlamatabError {
    return new LlamatabError('unavailable_error', `${part.label} (${withoutQuery(this.#piece.url)}): ${what}`, {
      cause,
    });
  }
}

type Read = () => Promise<ReadableStreamReadResult<Uint8Array>>;

class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super('connection lost', { cause });
  }
}

function allocate(part: Part): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(part.size);
  } catch (error) {
    throw new LlamatabError(
      'unavailable_error',
      `${part.label}: the browser has no memory for ${part.size} bytes. Close other tabs and try again: what is complete stays stored.`,
      { cause: error },
    );
  }
}
