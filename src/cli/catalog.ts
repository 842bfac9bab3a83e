/** `catalog add` and `catalog check`: the models in a site's folder. */
import { createReadStream, existsSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { LlamatabError } from '../errors.ts';
import { type GgufHeader, readGgufHeader } from '../gguf/header.ts';
import type { ByteSource } from '../gguf/reader.ts';
import { parseCatalog } from '../models/catalog.ts';
import { allShards, describeGguf, idFrom } from '../models/describe.ts';
import { downloadAddress, findByHubName, findByUrl } from '../models/find-models.ts';
import { size as sizeInWords } from '../models/http.ts';
import { DEFAULT_ENDPOINT } from '../models/hub.ts';
import { isHubName } from '../models/hub-name.ts';
import { ENGINE_MEMORY, memoryNeeded } from '../models/memory-needed.ts';
import type { Catalog, CatalogFile, CatalogModel, CatalogPiece } from '../models/models.ts';
import { openRemoteFile } from '../models/remote-file.ts';
import { type EmbeddedModel, embeddedNames, findEmbedded } from './embedded.ts';
import { cut, hashAndWrite, type Source, type Target } from './pieces.ts';
import { describeQuantization } from './quantization.ts';

type Described = Pick<CatalogModel, 'id' | 'name' | 'authors' | 'license' | 'contextLength'> & {
  licenseUrl?: string;
  homepage?: string;
};

export interface AddToCatalog {
  /** The id of a model that comes with llamatab, a path, an http(s) URL, or `owner/repo:quant`. */
  source: string;
  /** Path of `catalog.json`. */
  catalog: string;
  aliases: string[];
  /** What the header does not say, or gets wrong. */
  described: Partial<Described>;
  /** Bytes of the largest file that the host takes. */
  limit: number;
  copy: boolean;
  makeDefault: boolean;
  replace: boolean;
  dryRun: boolean;
  /** Path of the `mmproj` of a local model. */
  projector?: string;
  token?: string;
}

export interface CheckCatalog {
  catalog: string;
}

type Print = (line: string) => void;

/** Stands for the catalog's address, which only its host knows. */
const BASE = 'https://catalog.invalid/models/catalog.json';

/** Stands for a hash that is known only when the file has been read. */
const NO_HASH = '0'.repeat(64);

/** A model that was found, but is not read to its end yet. */
interface Found {
  model: CatalogModel;
  headers: GgufHeader[];
  /** In the order of the model's files. */
  sources: (Source & { /** Where visitors can have it already: a URL, or a path. */ url?: string; path?: string })[];
}

/**
 * Adding what is there already changes nothing.
 * @returns the entry that was written. Nothing is changed until the whole model is read, and the catalog with it is valid.
 * @throws LlamatabError naming what is wrong and what to do
 */
export async function addToCatalog(options: AddToCatalog, print: Print): Promise<CatalogModel> {
  const { source, makeDefault, replace, dryRun } = options;
  const path = resolve(options.catalog);
  const catalog = await readCatalog(path);
  const embedded = existsSync(source) ? null : findEmbedded(source, dirname(path));
  if (embedded !== null) return addEmbedded(embedded, options, path, catalog, print);
  const found = await find(options);
  const draft = describe(found.model, options);
  const present = catalog?.models.find(({ id }) => id === draft.id);
  if (present !== undefined && !replace) {
    if (!(await isSame(present, draft, found, path, options))) throw refuse(taken(path, present.id));
    return keep(present, path, catalog, options, print);
  }
  const withEntry = (model: CatalogModel) => putEntry(catalog, model, makeDefault);
  // Everything but the hashes is known by now, and any mistake in it should be reported before gigabytes are read.
  const hashed = draft.files.map((file) => ({ ...file, sha256: NO_HASH }));
  validate(withEntry({ ...draft, files: hashed }), path);
  report(draft, found, print);

  const placed = placeFiles(draft.id, found, path, options);
  for (const { source, targets, sizes } of placed) {
    const where = targets.map(({ path, url }) => (path === null ? url : relative(process.cwd(), path)));
    print(
      `  ${source.name}: ${sizes.length === 1 ? '' : `${sizes.length} pieces, `}${where[0]}${where[1] ? ' …' : ''}`,
    );
  }
  if (dryRun) {
    print('Nothing was written (--dry-run).');
    return draft;
  }

  const written: { from: string; to: string }[] = [];
  const files: CatalogFile[] = [];
  try {
    for (const { source, targets, sizes } of placed) {
      const temporary = targets.map(({ path, url }): Target => {
        if (path === null) return { path, url };
        written.push({ from: `${path}.tmp`, to: path });
        return { path: `${path}.tmp`, url };
      });
      for (const { path } of temporary) if (path !== null) await mkdir(dirname(path), { recursive: true });
      files.push(await hashAndWrite(source, sizes, temporary));
    }
    for (const { from, to } of written) await rename(from, to);
  } catch (error) {
    await Promise.all(written.map(({ from }) => rm(from, { force: true })));
    throw error instanceof LlamatabError ? error : refuse((error as Error).message, error);
  }
  checkPublished(draft.files, files);
  const model = { ...draft, files };
  await write(withEntry(model), path);
  print(`Added '${model.id}' to ${path}.`);
  return model;
}

/** A model of the package `llamatab-models`: cut, hashed and described already. */
async function addEmbedded(
  { model: published, folder, files }: EmbeddedModel,
  options: AddToCatalog,
  path: string,
  catalog: Catalog | null,
  print: Print,
): Promise<CatalogModel> {
  const model = describe(published, options);
  const present = catalog?.models.find(({ id }) => id === model.id);
  const sums = ({ files }: CatalogModel) => files.map(({ sha256 }) => sha256).join();
  if (present !== undefined && !options.replace && sums(present) !== sums(model)) throw refuse(taken(path, model.id));
  const pieces = new Map(model.files.flatMap(({ pieces }) => pieces.map((piece) => [piece.url, piece])));
  const bytes = model.files.reduce((sum, { size }) => sum + size, 0);
  print(`${model.id}: ${model.name} by ${model.authors}, licence ${model.license}, ${sizeInWords(bytes)}`);
  let copied = 0;
  for (const file of files) {
    const target = join(dirname(path), file);
    const piece = pieces.get(file);
    if (existsSync(target) && (piece === undefined || (await faultsOf(piece, target)).length === 0)) continue;
    copied++;
    if (options.dryRun) continue;
    await mkdir(dirname(target), { recursive: true });
    await copyFile(join(folder, file), `${target}.tmp`);
    await rename(`${target}.tmp`, target);
  }
  if (options.dryRun) print(`${copied} files would be copied. Nothing was written (--dry-run).`);
  else if (present !== undefined && !options.replace) return keep(present, path, catalog, options, print);
  else {
    await write(putEntry(catalog, model, options.makeDefault), path);
    print(`Added '${model.id}' to ${path}: ${copied} files copied.`);
  }
  return model;
}

function describe(model: CatalogModel, { described, aliases }: AddToCatalog): CatalogModel {
  return { ...model, ...described, ...(aliases.length > 0 ? { aliases } : {}) };
}

const taken = (path: string, id: string) =>
  `${path} has another model '${id}' already: give another --id, or --replace it.`;

/** Whether an entry is of the same files, and they are there. */
async function isSame(
  present: CatalogModel,
  draft: CatalogModel,
  { sources }: Found,
  catalog: string,
  { copy }: AddToCatalog,
): Promise<boolean> {
  if (present.files.length !== sources.length) return false;
  for (const [i, source] of sources.entries()) {
    const { size, sha256, pieces = [] } = present.files[i] ?? {};
    if (size !== source.size) return false;
    for (const piece of pieces) {
      const local = localPath(piece.url, catalog);
      const isThere = local === null ? !copy : (await stat(local).catch(() => null))?.size === piece.size;
      if (!isThere) return false;
    }
    const published = draft.files[i]?.sha256;
    if (published === undefined && source.url !== undefined) {
      if (pieces[0]?.url !== source.url) return false;
    } else if (sha256 !== (published ?? (await hashOf(source)))) return false;
  }
  return true;
}

async function hashOf(source: Source): Promise<string | undefined> {
  return (await hashAndWrite(source, [source.size], [{ path: null, url: '' }])).sha256;
}

/** Leaves an entry as it is, but for the default. */
async function keep(
  model: CatalogModel,
  path: string,
  catalog: Catalog | null,
  { makeDefault, dryRun }: AddToCatalog,
  print: Print,
): Promise<CatalogModel> {
  if (makeDefault && !dryRun && catalog?.default !== model.id) await write(putEntry(catalog, model, true), path);
  print(`'${model.id}' is in ${path} already, and its files are there.`);
  return model;
}

function putEntry(catalog: Catalog | null, model: CatalogModel, makeDefault: boolean): Catalog {
  const models = catalog?.models ?? [];
  return {
    ...catalog,
    version: 1,
    default: makeDefault || catalog === null ? model.id : catalog.default,
    models: models.some(({ id }) => id === model.id)
      ? models.map((other) => (other.id === model.id ? model : other))
      : [...models, model],
  };
}

async function write(catalog: Catalog, path: string): Promise<void> {
  validate(catalog, path);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.tmp`, `${JSON.stringify(catalog, null, 2)}\n`);
  await rename(`${path}.tmp`, path);
}

/** The catalog as it stands, including fields that this version does not know. @throws LlamatabError if it is not a catalog */
async function readCatalog(path: string): Promise<Catalog | null> {
  if (!existsSync(path)) return null;
  const text = await readFile(path, 'utf8');
  validate(text, path);
  return JSON.parse(text);
}

/** @throws LlamatabError naming the field, its value and what it should be */
function validate(catalog: Catalog | string, path: string): Catalog {
  try {
    return parseCatalog(typeof catalog === 'string' ? catalog : JSON.stringify(catalog), BASE);
  } catch (error) {
    throw refuse((error as Error).message.replace(BASE, path), error);
  }
}

function refuse(message: string, cause?: unknown): LlamatabError {
  return new LlamatabError('invalid_request_error', message, { cause });
}

// --- Finding the model -----------------------------------------------------------------------------------------------

function find(options: AddToCatalog): Promise<Found> {
  const { source, projector } = options;
  const isUrl = /^https?:\/\//i.test(source);
  if (!isUrl && (existsSync(source) || !isHubName(source))) return findLocal(options);
  if (projector !== undefined) throw refuse('--projector is for local files: a hub’s is found beside its model.');
  return findRemote(options, isUrl);
}

async function findLocal({ source, projector }: AddToCatalog): Promise<Found> {
  const paths = [...allShards(source), ...(projector === undefined ? [] : [projector])];
  const files = await Promise.all(paths.map((path) => openLocal(path, source)));
  const headers = files.map(({ header }) => header);
  const [first] = headers;
  if (first === undefined) throw refuse(`${source} is not a model.`);
  const id = idFrom(basename(source));
  return {
    model: {
      id,
      ...describeGguf(first, id, projector === undefined ? undefined : headers.at(-1)),
      files: files.map(({ name, size }) => unread(name, size)),
    },
    headers,
    sources: files.map(({ name, size, path }) => ({ name, size, path, stream: () => createReadStream(path) })),
  };
}

async function openLocal(path: string, asked: string) {
  const status = await stat(path).catch(() => null);
  if (!status?.isFile()) {
    if (path !== asked) throw refuse(`A part of the model is missing: ${path}.`);
    throw refuse(
      `There is no file ${path}, and it is neither a URL nor owner/repo:quant. ${embeddedNames(process.cwd())}`,
    );
  }
  const file = await open(path);
  try {
    const bytes: ByteSource = {
      size: status.size,
      slice: (start, end) => ({
        arrayBuffer: async () => {
          const bytes = new Uint8Array(Math.max(0, Math.min(end, status.size) - start));
          await file.read(bytes, 0, bytes.length, start);
          return bytes.buffer;
        },
      }),
    };
    return { path, name: basename(path), size: status.size, header: await readGgufHeader(bytes, path) };
  } finally {
    await file.close();
  }
}

async function findRemote({ source, token }: AddToCatalog, isUrl: boolean): Promise<Found> {
  const trusted = isUrl ? new URL(downloadAddress(source)).origin : DEFAULT_ENDPOINT;
  const headersFor = (url: string): Record<string, string> =>
    token !== undefined && new URL(url).origin === trusted ? { Authorization: `Bearer ${token}` } : {};
  const options = { fetch, headersFor };
  const found = isUrl
    ? await findByUrl(downloadAddress(source), options)
    : await findByHubName(source, DEFAULT_ENDPOINT, options);
  const { source: _, ...model } = found;
  const sources = model.files.map(({ name, size, pieces: [piece] }) => {
    const url = piece?.url ?? '';
    return { name, size, url, stream: () => download(url, headersFor(url)) };
  });
  const headers = sources.map(async ({ name, url }) =>
    readGgufHeader(await openRemoteFile(url, { fetch, headers: headersFor(url) }), name),
  );
  return { model, headers: await Promise.all(headers), sources };
}

async function* download(url: string, headers: Record<string, string>): AsyncGenerator<Uint8Array> {
  const response = await fetch(url, { headers });
  if (!response.ok || response.body === null) throw refuse(`${url} can't be read: HTTP ${response.status}.`);
  yield* response.body;
}

/** The entry of a file that was not read yet. */
const unread = (name: string, size: number): CatalogFile => ({
  name,
  size,
  pieces: [{ url: encodeURIComponent(name), size }],
});

/** @throws LlamatabError if the SHA-256 that a hub published is not that of its file */
function checkPublished(expected: readonly CatalogFile[], read: readonly CatalogFile[]): void {
  for (const [i, { name, sha256 }] of expected.entries()) {
    if (sha256 === undefined || sha256 === read[i]?.sha256) continue;
    throw refuse(
      `${name}: its SHA-256 is ${read[i]?.sha256}, and its hub says ${sha256}. It was damaged on the way: try again.`,
    );
  }
}

// --- Placing its files -----------------------------------------------------------------------------------------------

interface Placed {
  source: Source;
  sizes: number[];
  targets: Target[];
}

function placeFiles(id: string, { sources }: Found, catalog: string, { limit, copy }: AddToCatalog): Placed[] {
  const site = dirname(catalog);
  const folder = idFrom(id.replaceAll(':', '-'));
  return sources.map((source) => {
    const { name, size, url, path } = source;
    if (url !== undefined && !copy) return { source, sizes: [size], targets: [{ path: null, url }] };
    const sizes = cut(size, limit);
    const inSite = path === undefined ? '..' : relative(site, resolve(path));
    if (sizes.length === 1 && !inSite.startsWith('..')) {
      return { source, sizes, targets: [{ path: null, url: inSite.split(sep).map(encodeURIComponent).join('/') }] };
    }
    const targets = sizes.map((_, i): Target => {
      const piece = sizes.length === 1 ? name : `${name}.part${i + 1}of${sizes.length}`;
      return { path: join(site, folder, piece), url: `${encodeURIComponent(folder)}/${encodeURIComponent(piece)}` };
    });
    return { source, sizes, targets };
  });
}

function report(model: CatalogModel, { headers, sources }: Found, print: Print): void {
  const [header] = headers;
  const bytes = sources.reduce((sum, { size }) => sum + size, 0);
  print(`${model.id}: ${model.name} by ${model.authors}, licence ${model.license}, ${sizeInWords(bytes)}`);
  if (model.license === 'unknown') print('  The header names no licence: look it up, and give --license.');
  print(`  ${model.capabilities.join(', ')}; ${model.contextLength} tokens of context`);
  if (header !== undefined) {
    const { weights, kvCache, total } = memoryNeeded(header, bytes, model.contextLength, undefined);
    print(
      `  memory: ${sizeInWords(weights)} and ${sizeInWords(kvCache)} of KV cache for one request of that length in f16 (in q8_0 half)`,
    );
    if (total > ENGINE_MEMORY) {
      print(
        `  That is more than the engine's ${sizeInWords(ENGINE_MEMORY)}: give a shorter --context, or take a smaller model.`,
      );
    }
  }
  for (const line of describeQuantization(headers)) print(`  ${line}`);
}

// --- catalog check ---------------------------------------------------------------------------------------------------

/** Files on other servers are not checked. @returns whether everything is all right */
export async function checkCatalog({ catalog }: CheckCatalog, print: Print): Promise<boolean> {
  const path = resolve(catalog);
  if (!existsSync(path)) throw refuse(`There is no catalog at ${path}.`);
  const { models } = validate(await readFile(path, 'utf8'), path);
  let isWell = true;
  for (const { id, files } of models) {
    const faults: string[] = [];
    let elsewhere = 0;
    for (const { name, pieces } of files) {
      for (const piece of pieces) {
        const local = localPath(piece.url, path);
        if (local === null) elsewhere++;
        else faults.push(...(await faultsOf(piece, local)).map((fault) => `${name}: ${piece.url} ${fault}`));
      }
    }
    const note = elsewhere === 0 ? '' : ` (${elsewhere} on other servers, not checked)`;
    print(faults.length === 0 ? `${id}: all right${note}` : `${id}:${note}`);
    for (const fault of faults) print(`  ${fault}`);
    isWell &&= faults.length === 0;
  }
  return isWell;
}

/** Null for a file that is not below the catalog's folder. */
function localPath(url: string, catalog: string): string | null {
  const folder = new URL('.', BASE).href;
  const { href } = new URL(url, BASE);
  return href.startsWith(folder) ? join(dirname(catalog), decodeURIComponent(href.slice(folder.length))) : null;
}

async function faultsOf({ size, sha256, parts, url }: CatalogPiece, path: string): Promise<string[]> {
  const status = await stat(path).catch(() => null);
  if (!status?.isFile()) return ['is not there'];
  if (status.size !== size) return [`has ${status.size} bytes; the catalog says ${size}`];
  const source: Source = { name: path, size, stream: () => createReadStream(path) };
  const [read] = (await hashAndWrite(source, [size], [{ path: null, url }])).pieces;
  if (sha256 !== undefined && read?.sha256 !== sha256) {
    return [`has the SHA-256 ${read?.sha256}; the catalog says ${sha256}`];
  }
  return (parts ?? []).flatMap((hash, i) =>
    read?.parts !== undefined && read.parts[i] !== hash ? [`differs from the catalog in its part ${i + 1}`] : [],
  );
}
