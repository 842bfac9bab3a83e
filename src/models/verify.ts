/** Reads what is stored of a model, compares its hashes, and drops the parts that are wrong. */

import { sizeOf } from './housekeeping.ts';
import { messageOf, requireSha256, sha256 } from './http.ts';
import type { CatalogModel, VerifyReport, WorkOptions } from './models.ts';
import { type StoredPart, within } from './part-storage.ts';
import type { Part } from './parts-layout.ts';
import { DownloadMeter } from './progress.ts';
import { RunningHash } from './running-hash.ts';
import type { StoreContext } from './store-context.ts';

/** Milliseconds for reading a part's bytes from the disk. */
const READ_TIMEOUT = 60_000;

export interface Verification {
  report: VerifyReport;
  /** The parts that the report calls bad. */
  bad: Part[];
}

export async function verify(
  context: StoreContext,
  model: CatalogModel,
  { signal, onProgress = () => {} }: WorkOptions = {},
): Promise<Verification> {
  requireSha256();
  const layout = context.layoutOf(model);
  const meter = new DownloadMeter(layout.total);
  meter.enter('verifying');
  const stored = await context.parts.stored(layout.parts);
  const reasons = new Map<string, string>();
  for (const part of layout.parts) {
    signal?.throwIfAborted();
    onProgress(meter.progress());
    const reason = await checkPart(context, stored.get(part.key));
    if (reason !== undefined) reasons.set(part.key, reason);
    meter.stored(part.key, part.size);
  }
  onProgress(meter.progress());
  const bad = layout.files.flatMap(({ name, parts }) =>
    parts.flatMap(({ key }, i) => {
      const reason = reasons.get(key);
      return reason === undefined ? [] : [{ file: name, part: i + 1, of: parts.length, reason }];
    }),
  );
  const checked = sizeOf(layout.parts.filter(({ key }) => !reasons.has(key)));
  return {
    report: { ok: bad.length === 0, checked, bad },
    bad: layout.parts.filter(({ key }) => reasons.has(key)),
  };
}

/** What is wrong with a part; undefined if nothing is. */
async function checkPart({ parts }: StoreContext, stored: StoredPart | undefined): Promise<string | undefined> {
  if (stored === undefined) return 'it is not stored';
  try {
    const blob = await parts.get(stored);
    if (blob === undefined) return 'its bytes are gone from the disk';
    const actual = await sha256(await within(READ_TIMEOUT, blob.arrayBuffer()));
    return actual === stored.sha256 ? undefined : `its SHA-256 is ${actual}, not ${stored.sha256}`;
  } catch (error) {
    return `it can't be read: ${messageOf(error)}`;
  }
}

/** Deletes the bytes of bad parts, so that a download fetches these again and nothing else. */
export async function dropBad(context: StoreContext, model: CatalogModel, bad: readonly Part[]): Promise<void> {
  const { parts, database, layoutOf } = context;
  const hashes = await parts.hashes(bad);
  // The acknowledgements stay, because what is fetched again has to be the same.
  await parts.delete([...hashes.values()], []);
  const keys = new Set(bad.map(({ key }) => key));
  const wholes = layoutOf(model).hashes.filter((whole) => whole.parts.some(({ key }) => keys.has(key)));
  await Promise.all(wholes.map((whole) => RunningHash.forget(whole, database)));
}
