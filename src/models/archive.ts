/**
 * A model as one file: a tar archive (POSIX ustar) of `llamatab.json`, which describes it with the hash of each part, and its
 * GGUF files. Any `tar` program can unpack it.
 */
import { LlamatabError } from '../errors.ts';
import { messageOf } from './http.ts';
import { LazyFile } from './lazy-file.ts';
import type { CatalogFile, CatalogModel } from './models.ts';

const BLOCK = 512;
const MANIFEST = 'llamatab.json';
/** Bytes. The description of one of the largest models has 100 KB. */
const MAX_MANIFEST = 4 * 1024 * 1024;
/** Files in an archive: no model has that many shards. */
const MAX_ENTRIES = 1000;

interface Manifest {
  llamatab: 1;
  model: CatalogModel;
}

/** @param model With the hashes of its parts. @param files Its files' bytes, in order. @returns a lazy file */
export function writeArchive(model: CatalogModel, files: readonly Blob[]): File {
  const { source: _, ...described } = model;
  const manifest: Manifest = { llamatab: 1, model: described };
  const description = new Blob([JSON.stringify(manifest, null, 2)]);
  const entries: [string, Blob][] = [
    [MANIFEST, description],
    ...model.files.map((file, i): [string, Blob] => [file.name, files[i] ?? new Blob()]),
  ];
  const blobs = entries.flatMap(([name, blob]) => [header(name, blob.size), blob, padding(blob.size)]);
  // Two empty blocks end an archive.
  const name = `${model.id.replace(/[^A-Za-z0-9._-]+/g, '-')}.tar`;
  return LazyFile.join([...blobs, new Blob([new Uint8Array(2 * BLOCK)])], name);
}

/**
 * @returns null if the file is not an archive that `writeArchive` made.
 * @throws LlamatabError `invalid_request_error` if it is one, but damaged.
 */
export async function readArchive(file: Blob): Promise<{ model: CatalogModel; files: Blob[] } | null> {
  const start = new Uint8Array(await file.slice(0, BLOCK).arrayBuffer());
  if (start.length < BLOCK || text(start.subarray(257, 262)) !== 'ustar' || readName(start) !== MANIFEST) return null;
  const entries = await readEntries(file);
  const description = entries.get(MANIFEST);
  if (description === undefined || description.size > MAX_MANIFEST) throw damaged('its description is too long');
  let manifest: Manifest;
  try {
    manifest = JSON.parse(await description.text());
  } catch (error) {
    throw damaged(`its description is not JSON (${messageOf(error)})`);
  }
  const model = manifest?.model;
  if (manifest?.llamatab !== 1 || typeof model !== 'object' || !Array.isArray(model?.files)) {
    throw damaged('its description is of another version');
  }
  const files = model.files.map(({ name, size }: CatalogFile) => {
    const blob = entries.get(name);
    if (blob?.size !== size) throw damaged(`${name} is not in it with its ${size} bytes`);
    return blob;
  });
  return { model, files };
}

async function readEntries(file: Blob): Promise<Map<string, Blob>> {
  const entries = new Map<string, Blob>();
  let at = 0;
  while (entries.size < MAX_ENTRIES && at + BLOCK <= file.size) {
    const block = new Uint8Array(await file.slice(at, at + BLOCK).arrayBuffer());
    if (block.every((byte) => byte === 0)) return entries;
    const size = readSize(block);
    const start = at + BLOCK;
    if (size === null || start + size > file.size) throw damaged('it ends in the middle of a file');
    entries.set(readName(block), file.slice(start, start + size));
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw damaged('its end is missing');
}

function header(name: string, size: number): Blob {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, value: string) => block.set(new TextEncoder().encode(value), at);
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > 100)
    throw new LlamatabError('invalid_request_error', `The file name ${name} is too long for an archive.`);
  put(0, name);
  put(100, '0000644\0');
  put(108, '0000000\0');
  put(116, '0000000\0');
  putSize(block, size);
  put(136, '00000000000\0');
  put(148, '        ');
  put(156, '0');
  put(257, 'ustar\x0000');
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  return new Blob([block]);
}

/** Octal up to 8 GiB; beyond that binary with the first bit set, which GNU tar and most others can read. */
function putSize(block: Uint8Array, size: number): void {
  if (size < 8 ** 11) {
    block.set(new TextEncoder().encode(`${size.toString(8).padStart(11, '0')}\0`), 124);
    return;
  }
  const view = new DataView(block.buffer);
  view.setUint32(124, 0x80000000);
  view.setBigUint64(128, BigInt(size));
}

function readSize(block: Uint8Array): number | null {
  if (((block[124] ?? 0) & 0x80) !== 0) {
    const size = Number(new DataView(block.buffer, block.byteOffset).getBigUint64(128));
    return Number.isSafeInteger(size) ? size : null;
  }
  const octal = text(block.subarray(124, 136)).trim();
  return /^[0-7]+$/.test(octal) ? Number.parseInt(octal, 8) : null;
}

function readName(block: Uint8Array): string {
  return text(block.subarray(0, 100));
}

/** The text up to the first zero. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function padding(size: number): Blob {
  return new Blob([new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK)]);
}

function damaged(why: string): LlamatabError {
  return new LlamatabError(
    'invalid_request_error',
    `The export is damaged: ${why}. Export the model again on the other device.`,
    { param: 'files' },
  );
}
