/** Makes catalog entries of what a user points to: an address, a hub's name, or files on the disk. It stores nothing. */
import { LlamatabError } from '../errors.ts';
import { type GgufHeader, readGgufHeader } from '../gguf/header.ts';
import type { ByteSource } from '../gguf/reader.ts';
import { readArchive } from './archive.ts';
import { parseCatalog } from './catalog.ts';
import { allShards, describeGguf, idFrom, shardOf } from './describe.ts';
import { type FetchLike, messageOf, withoutQuery } from './http.ts';
import { DEFAULT_ENDPOINT, findOnHub, type HubFile } from './hub.ts';
import type { CatalogFile, CatalogModel, ModelSource } from './models.ts';
import { openRemoteFile } from './remote-file.ts';

/** `id` is a suggestion: another model may have it. */
export type FoundModel = CatalogModel & { source: ModelSource };

/** Files from the user's disk, and the model that they make up. */
export interface FoundFiles {
  model: FoundModel;
  /** In the order of the model's files. */
  blobs: Blob[];
  /** Whether they come from an export of another device. The site may offer the same model. */
  isArchive: boolean;
}

export interface FindOptions {
  fetch: FetchLike;
  /** Further headers for a URL: a token. */
  headersFor: (url: string) => Record<string, string>;
}

/** @throws LlamatabError `invalid_request_error` for anything but http(s) */
export function downloadAddress(url: string): string {
  const address = URL.canParse(url) ? new URL(url) : null;
  if (address?.protocol !== 'https:' && address?.protocol !== 'http:') {
    throw new LlamatabError('invalid_request_error', `'${url}' is not an http(s) address.`, { param: 'url' });
  }
  // People tend to copy the address of the hub's page about a file.
  if (address.origin === DEFAULT_ENDPOINT) address.pathname = address.pathname.replace('/blob/', '/resolve/');
  address.hash = '';
  return address.href;
}

/** @param address By `downloadAddress`. @throws as `ModelStore.addFromUrl` */
export async function findByUrl(address: string, options: FindOptions): Promise<FoundModel> {
  const urls = allShards(new URL(address).pathname).map((path) => withPath(address, path));
  const files = urls.map((url): HubFile => ({ path: fileNameOf(url), url, size: 0 }));
  const id = idFrom(fileNameOf(address));
  return readRemote(files, undefined, id, { kind: 'url', url: address }, options);
}

/** @throws as `ModelStore.addFromHub` */
export async function findByHubName(name: string, endpoint: string, options: FindOptions): Promise<FoundModel> {
  const { fetch, headersFor } = options;
  const { repo, tag, shards, projector } = await findOnHub(name, { fetch, endpoint, headers: headersFor(endpoint) });
  return readRemote(shards, projector, `${repo}:${tag}`, { kind: 'hub', endpoint, repo, tag }, options);
}

/** Reads the headers of files on a server. */
async function readRemote(
  shards: readonly HubFile[],
  projector: HubFile | undefined,
  id: string,
  source: ModelSource,
  { fetch, headersFor }: FindOptions,
): Promise<FoundModel> {
  const open = async (file: HubFile) => {
    const { url, size } = file;
    const remote = await openRemoteFile(url, { fetch, headers: headersFor(url), size: size || undefined });
    return { ...file, size: remote.size, remote };
  };
  const [opened, openedProjector] = await Promise.all([Promise.all(shards.map(open)), projector && open(projector)]);
  const headerOf = async (file: { remote: ByteSource; url: string } | undefined) =>
    file && (await readHeaderOf(file.remote, withoutQuery(file.url)));
  const [header, projectorHeader] = await Promise.all([headerOf(opened[0]), headerOf(openedProjector)]);
  if (header === undefined) throw new LlamatabError('invalid_request_error', `${id} has no files.`);
  return {
    id,
    files: [...opened, ...(openedProjector ? [openedProjector] : [])].map(({ path, url, size, sha256 }) => ({
      name: fileNameOf(path),
      size,
      ...(sha256 === undefined ? {} : { sha256 }),
      pieces: [{ url, size, ...(sha256 === undefined ? {} : { sha256 }) }],
    })),
    ...describeGguf(header, id, projectorHeader),
    source,
  };
}

/** @throws LlamatabError `invalid_request_error` if the files are not one whole model */
export async function findInFiles(files: readonly File[]): Promise<FoundFiles> {
  const [only] = files;
  const archive = files.length === 1 && only ? await readArchive(only) : null;
  if (archive !== null) return { model: checkArchived(archive.model), blobs: archive.files, isArchive: true };
  const blobs = chooseFiles(files);
  const headers = await Promise.all(blobs.map((blob) => readHeaderOf(blob, blob.name)));
  const [first] = blobs;
  const [header] = headers;
  if (first === undefined || header === undefined) throw refuse('There is no model among the files.');
  const projector = blobs.findIndex(isProjector);
  // An address that leads nowhere, so that the keys of its parts are unlike any other's.
  const url = `local:${crypto.randomUUID()}`;
  const model: FoundModel = {
    id: idFrom(first.name),
    files: blobs.map(({ name, size }): CatalogFile => {
      return { name, size, pieces: [{ url: `${url}/${encodeURIComponent(name)}`, size }] };
    }),
    ...describeGguf(header, idFrom(first.name), headers[projector]),
    source: { kind: 'file', name: first.name },
  };
  return { model, blobs, isArchive: false };
}

/** All shards of the one model among the files, in order, and its projector. */
function chooseFiles(files: readonly File[]): File[] {
  const ggufs = files.filter(({ name }) => /\.gguf$/i.test(name));
  const projectors = ggufs.filter(isProjector);
  const weights = ggufs.filter((file) => !isProjector(file));
  const first = weights.find(({ name }) => (shardOf(name)?.index ?? 1) === 1) ?? weights[0];
  if (first === undefined) {
    const names = files.map(({ name }) => name).join(', ') || 'none';
    throw refuse(
      `There is no model among the files (${names}): add a .gguf, all its shards, or an export of llamatab.`,
    );
  }
  const names = allShards(first.name);
  const shards = names.flatMap((name) => weights.find((file) => file.name === name) ?? []);
  if (shards.length < names.length) {
    const lacking = names.filter((name) => !shards.some((shard) => shard.name === name)).join(', ');
    throw refuse(`The model has ${names.length} files; add these too: ${lacking}.`);
  }
  const extra = [...weights.filter((file) => !shards.includes(file)), ...projectors.slice(1)];
  if (extra.length > 0) {
    throw refuse(`These files are more than one model: add ${extra.map(({ name }) => name).join(', ')} on their own.`);
  }
  return [...shards, ...projectors];
}

/** The description in an export is checked like a catalog: it can be trusted no more than that. */
function checkArchived(described: CatalogModel): FoundModel {
  try {
    const text = JSON.stringify({ version: 1, default: described.id, models: [described] });
    const [model] = parseCatalog(text, 'https://export.invalid/').models;
    if (model === undefined) throw new Error('it holds no model');
    const { aliases: _, ...rest } = model;
    return { ...rest, source: { kind: 'file', name: model.files[0]?.name ?? model.id } };
  } catch (error) {
    throw refuse(`The export is damaged: ${messageOf(error)}`);
  }
}

/** The header of a file that a user adds. If there is something wrong with it, the request is at fault. */
async function readHeaderOf(source: ByteSource, name: string): Promise<GgufHeader> {
  try {
    return await readGgufHeader(source, name);
  } catch (error) {
    const known = LlamatabError.from(error);
    if (known.type !== 'server_error') throw known;
    throw new LlamatabError('invalid_request_error', known.message, { cause: error });
  }
}

function isProjector({ name }: File): boolean {
  return /mmproj/i.test(name);
}

function refuse(what: string): LlamatabError {
  return new LlamatabError('invalid_request_error', what, { param: 'files' });
}

function withPath(url: string, path: string): string {
  const other = new URL(url);
  other.pathname = path;
  return other.href;
}

/** The last part of a URL's or a repository's path. */
function fileNameOf(url: string): string {
  const path = URL.canParse(url) ? new URL(url).pathname : url;
  const name = path.slice(path.lastIndexOf('/') + 1);
  try {
    return decodeURIComponent(name) || 'model.gguf';
  } catch {
    return name;
  }
}
