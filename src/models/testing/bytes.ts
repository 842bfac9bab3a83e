/** Helpers of the store's tests. */
import { createHash } from 'node:crypto';
import type { LlamatabError } from '../../errors.ts';

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Tests compare hashes: comparing a million numbers takes a test runner seconds. */
export const hashOf = async (blobs: Blob[]) => sha256(new Uint8Array(await new Blob(blobs).arrayBuffer()));

/** What a promise rejects with. */
export const failure = (promise: Promise<unknown>): Promise<Error | LlamatabError> =>
  promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error as LlamatabError,
  );
