/** Downloads a model's missing parts, several at a time, and checks the hashes that cover more than one part. */
import { anySignal } from '../abortable.ts';
import { isAbort, LlamatabError } from '../errors.ts';
import { requireSha256 } from './http.ts';
import type { Validators } from './judge-response.ts';
import type { PartStorage, StoredPart } from './part-storage.ts';
import type { Part, PartsLayout, WholeHash } from './parts-layout.ts';
import type { DownloadMeter } from './progress.ts';
import { RunningHash } from './running-hash.ts';
import type { StoreContext } from './store-context.ts';
import { PieceTransfer } from './transfer.ts';

/**
 * Parts at a time. Enough to hide a round trip and a hash behind a transfer; HTTP/1.1 gives a host six connections, and the
 * page needs some of them; each part takes its size in memory. It is lowered when a server says that it is busy.
 */
const CONCURRENCY = 3;

export interface DownloadOptions {
  layout: PartsLayout;
  meter: DownloadMeter;
  signal: AbortSignal;
  /** Stores a part, making space for it where that is allowed. */
  put: (part: Part, sha256: string, blob: Blob) => Promise<void>;
}

/**
 * Downloads all parts of the layout that are not stored.
 *
 * @returns every part, by its key.
 * @throws LlamatabError as `transfer.ts`, or if a published hash of several parts is not that of what came: then these
 *   parts are deleted, since nothing tells which of them is wrong. The signal's reason when aborted.
 */
export async function downloadParts(context: StoreContext, options: DownloadOptions): Promise<Map<string, StoredPart>> {
  requireSha256();
  const { parts: storage, validators, tokens, fetch, network, retryDelays, stallTimeout } = context;
  const { layout, meter, signal, put } = options;
  const expected = await storage.hashes(layout.parts);
  const stored = await readable(layout.parts, storage);
  for (const part of layout.parts) if (stored.has(part.key)) meter.stored(part.key, part.size);
  signal.throwIfAborted();

  const failed = new AbortController();
  const either = anySignal(signal, failed.signal);
  const exclusive = createMutex();
  const hashes = await Promise.all(layout.hashes.map((whole) => RunningHash.open(whole, context.database)));
  const missing = layout.parts.filter((part) => !stored.has(part.key));

  let limit = CONCURRENCY;
  const transfers = new Map<Part['piece'], Promise<PieceTransfer>>();
  const transferOf = (part: Part) => {
    const known = transfers.get(part.piece) ?? openTransfer(part);
    transfers.set(part.piece, known);
    return known;
  };
  const openTransfer = async ({ piece }: Part) =>
    new PieceTransfer(piece, {
      fetch,
      network,
      signal: either,
      headers: tokens.headersFor,
      retryDelays,
      stallTimeout,
      random: Math.random,
      expected: (part) => expected.get(part.key),
      isMissing: (part) => !stored.has(part.key),
      exclusive,
      onBytes: (part, received) => meter.received(part.key, received),
      onState: (state, reason, delay) => meter.enter(state, reason, delay),
      onBusy: () => {
        limit = Math.max(1, Math.floor(limit / 2));
      },
      validators: (await validators.get(piece.key)) as Validators | undefined,
      onValidators: (seen) => validators.set(piece.key, seen),
      store: async (part, sha256, bytes) => {
        const blob = new Blob([bytes]);
        await put(part, sha256, blob);
        if (!stored.has(part.key)) meter.stored(part.key, part.size);
        stored.set(part.key, { sha256, size: part.size });
        await advance(hashes, part, blob);
      },
    });

  const queue = missing.values();
  const lane = async (number: number) => {
    // If the server wants fewer lanes, this one ends after its current part.
    for (const part of queue) {
      either.throwIfAborted();
      await (await transferOf(part)).bring(part);
      if (number >= limit) return;
    }
  };
  const lanes = Array.from({ length: CONCURRENCY }, (_, number) => lane(number));
  try {
    await Promise.all(lanes);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(lanes);
    meter.dropUnderway();
    throw isAbort(error) || error === signal.reason ? error : LlamatabError.from(error);
  }
  if (hashes.length > 0) meter.enter('verifying');
  for (const hash of hashes) await checkWhole(context, hash, stored, signal);
  return stored;
}

/** The parts that are stored, and whose bytes the browser can really read. */
async function readable(parts: readonly Part[], storage: PartStorage): Promise<Map<string, StoredPart>> {
  const stored = await storage.stored(parts);
  const blobs = await Promise.all([...stored.values()].map((part) => storage.get(part)));
  return new Map([...stored].filter((_, i) => blobs[i] !== undefined));
}

/** Hashes the part that was just stored, while it is still in memory, if a running hash needs it next. */
async function advance(hashes: readonly RunningHash[], part: Part, blob: Blob): Promise<void> {
  for (const hash of hashes) {
    if (hash.whole.parts[hash.next]?.key === part.key) await hash.add(blob);
  }
}

async function checkWhole(
  context: StoreContext,
  hash: RunningHash,
  stored: Map<string, StoredPart>,
  signal: AbortSignal,
): Promise<void> {
  const { whole } = hash;
  for (let part = whole.parts[hash.next]; part !== undefined; part = whole.parts[hash.next]) {
    signal.throwIfAborted();
    const known = stored.get(part.key);
    const blob = known && (await context.parts.get(known));
    if (blob === undefined) throw new BytesGone(part.label);
    await hash.add(blob);
  }
  const actual = hash.digest();
  if (actual === whole.sha256) return;
  await discard(context, whole, stored);
  throw new LlamatabError(
    'unavailable_error',
    `${whole.label}: the SHA-256 of the whole is ${actual}, published is ${whole.sha256}. It was damaged on the way or changed ` +
      `on its server. Its ${whole.parts.length} parts were deleted, since nothing tells which of them is wrong: download it again.`,
  );
}

async function discard(
  { parts: storage, validators, database }: StoreContext,
  whole: WholeHash,
  stored: Map<string, StoredPart>,
): Promise<void> {
  const hashes = whole.parts.flatMap((part) => stored.get(part.key)?.sha256 ?? []);
  await storage.delete(hashes, whole.parts);
  await RunningHash.forget(whole, database);
  await Promise.all(whole.parts.map((part) => validators.delete(part.piece.key)));
}

/** What was stored a moment ago is not there: site data was cleared meanwhile. */
export class BytesGone extends LlamatabError {
  constructor(label: string) {
    super(
      'unavailable_error',
      `${label}: its bytes went from this browser while it was downloaded. Load the model again.`,
    );
  }
}

/** Runs one piece of work after another. */
function createMutex(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work, work);
    last = next.catch(() => {});
    return next;
  };
}
