/**
 * Reads `catalog.json`, the list of models that a site offers. It is validated by hand, so that messages name the field and
 * the remedy.
 */
import { get, set, type UseStore } from 'idb-keyval';
import { LlamatabError } from '../errors.ts';
import { type FetchLike, looksLikeHtml } from './http.ts';
import type { Capability, Catalog, CatalogFile, CatalogModel, CatalogPiece } from './models.ts';
import { PART_SIZE } from './parts-layout.ts';

/** Milliseconds. A model that is stored already must not wait for a connection that is neither up nor down. */
const CATALOG_TIMEOUT = 10_000;

/** Tokens: the longest context that llama.cpp's models claim (10 million), rounded up. */
const MAX_CONTEXT_LENGTH = 2 ** 24;

/**
 * Ids and aliases, including `owner/repo:quant`. They are put into requests, URLs and messages, so no spaces, no `..`, no
 * markup.
 */
export const NAME = /^(?!.*(\.\.|\/\/))[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/;
/** `model: "local"` is the default model, whatever the catalog holds. */
export const RESERVED = 'local';

const CAPABILITIES: readonly Capability[] = [
  'chat',
  'completion',
  'embedding',
  'rerank',
  'vision',
  'audio',
  'speech',
  'tools',
];

/**
 * Fetches and validates the catalog. If the site can't be reached, it takes the copy of the last visit.
 *
 * @param url Absolute.
 * @param database Where the last good copy is kept.
 * @throws LlamatabError `unavailable_error` if there is neither, or the site has no catalog there; `server_error`, naming the
 *   field, if what is there is not valid. The copy never hides an invalid catalog: its author has to see the error.
 */
export async function loadCatalog(url: string, database: UseStore, fetch: FetchLike): Promise<Catalog> {
  const key = `catalog:${url}`;
  let text: string;
  try {
    text = await fetchCatalog(url, fetch);
  } catch (error) {
    if (error instanceof LlamatabError) throw error;
    const copy = await readCopy(key, database);
    const reason = error instanceof Error ? error.message : String(error);
    if (copy === undefined) {
      throw new LlamatabError(
        'unavailable_error',
        `The catalog ${url} can't be reached (${reason}) and there is no copy of an earlier visit. Try again when the network is back.`,
        { cause: error },
      );
    }
    console.warn(`llamatab: the catalog ${url} can't be reached (${reason}); using the last visit's copy`);
    return parseCatalog(copy, url);
  }
  const catalog = parseCatalog(text, url);
  try {
    await set(key, text, database);
  } catch {
    // Without a copy only offline visits fail, which is no reason to fail now.
  }
  return catalog;
}

async function readCopy(key: string, database: UseStore): Promise<string | undefined> {
  try {
    const copy = await get<unknown>(key, database);
    return typeof copy === 'string' ? copy : undefined;
  } catch {
    return undefined;
  }
}

/** @throws LlamatabError if the site's author has to repair something; any other error if the site can't be reached now */
async function fetchCatalog(url: string, fetch: FetchLike): Promise<string> {
  // no-cache: asks the server whether it has changed. A catalog from the HTTP cache may name pieces that are gone.
  const response = await fetch(url, { cache: 'no-cache', signal: AbortSignal.timeout(CATALOG_TIMEOUT) });
  if (response.status >= 500 || response.status === 429) throw new Error(`HTTP ${response.status}`);
  const text = await response.text();
  if (!response.ok) {
    throw new LlamatabError(
      'unavailable_error',
      `There is no catalog at ${url}: HTTP ${response.status}. Check the address and that the file is deployed.`,
    );
  }
  if (looksLikeHtml(response, text)) {
    throw new LlamatabError(
      'unavailable_error',
      `There is no catalog at ${url}: the server answered with a web page instead of JSON. Sites with a fallback page do that for ` +
        'files that are not there: check the address and that the file is deployed.',
    );
  }
  return text;
}

/**
 * Validates a catalog.
 *
 * @param text The JSON.
 * @param url The catalog's own absolute URL, which the pieces' URLs are relative to.
 * @throws LlamatabError `server_error`, naming the field, its value and what it should be.
 */
export function parseCatalog(text: string, url: string): Catalog {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new LlamatabError('server_error', `The catalog ${url} is not JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return new CatalogReader(url).catalog(json);
}

type Fields = Record<string, unknown>;

/** One method for each shape. `path` tells the catalog's author which field is meant. */
class CatalogReader {
  readonly #url: string;
  /** Every id and alias so far, with the path of the model that has it. */
  readonly #names = new Map<string, string>();

  constructor(url: string) {
    this.#url = url;
  }

  catalog(json: unknown): Catalog {
    const fields = this.#object(json, 'the catalog');
    if (fields.version !== 1) {
      this.#fail('version', fields.version, 'be 1: another version needs another version of llamatab');
    }
    const models = this.#list(fields.models, 'models', (model, path) => this.#model(model, path));
    const byDefault = this.#text(fields.default, 'default');
    if (!models.some((model) => model.id === byDefault)) {
      this.#fail('default', byDefault, `be the id of one of its models: ${models.map((model) => model.id).join(', ')}`);
    }
    return { version: 1, default: byDefault, models };
  }

  #model(json: unknown, path: string): CatalogModel {
    const fields = this.#object(json, path);
    const id = this.#name(fields.id, `${path}.id`, path);
    const files = this.#list(fields.files, `${path}.files`, (file, at) => this.#file(file, at));
    return {
      id,
      ...(fields.aliases === undefined ? {} : { aliases: this.#aliases(fields.aliases, path) }),
      ...(fields.tags === undefined ? {} : { tags: this.#tags(fields.tags, `${path}.tags`) }),
      files,
      ...(fields.draft === undefined ? {} : { draft: this.#draft(fields.draft, `${path}.draft`, files) }),
      capabilities: this.#list(fields.capabilities, `${path}.capabilities`, (value, at) => this.#capability(value, at)),
      contextLength: this.#wholeNumber(fields.contextLength, `${path}.contextLength`, MAX_CONTEXT_LENGTH),
      name: this.#text(fields.name, `${path}.name`),
      authors: this.#text(fields.authors, `${path}.authors`),
      license: this.#text(fields.license, `${path}.license`),
      ...(fields.licenseUrl === undefined ? {} : { licenseUrl: this.#link(fields.licenseUrl, `${path}.licenseUrl`) }),
      ...(fields.homepage === undefined ? {} : { homepage: this.#link(fields.homepage, `${path}.homepage`) }),
    };
  }

  #draft(value: unknown, path: string, [, ...others]: readonly CatalogFile[]): string {
    const draft = this.#text(value, path);
    if (!others.some(({ name }) => name === draft)) {
      const names = others.map(({ name }) => name).join(', ') || 'there is no second one';
      this.#fail(path, draft, `be the name of one of its files, after the model's own: ${names}`);
    }
    return draft;
  }

  #aliases(json: unknown, path: string): string[] {
    if (!Array.isArray(json)) this.#fail(`${path}.aliases`, json, 'be a list');
    return json.map((alias: unknown, i) => this.#name(alias, `${path}.aliases[${i}]`, path));
  }

  #tags(json: unknown, path: string): string[] {
    if (!Array.isArray(json)) this.#fail(path, json, 'be a list');
    return json.map((tag: unknown, i) => this.#text(tag, `${path}[${i}]`));
  }

  #file(json: unknown, path: string): CatalogFile {
    const fields = this.#object(json, path);
    const size = this.#wholeNumber(fields.size, `${path}.size`, Number.MAX_SAFE_INTEGER);
    const sha256 = fields.sha256 === undefined ? undefined : this.#sha256(fields.sha256, `${path}.sha256`);
    const pieces = this.#list(fields.pieces, `${path}.pieces`, (piece, at) => this.#piece(piece, at));
    if (sha256 === undefined && pieces.some((piece) => piece.sha256 === undefined && piece.parts === undefined)) {
      this.#fail(
        `${path}.sha256`,
        fields.sha256,
        "be given where its pieces have none: weights can't be trusted without",
      );
    }
    const sum = pieces.reduce((total, piece) => total + piece.size, 0);
    if (sum !== size) this.#fail(`${path}.size`, size, `be the sum of its pieces' sizes, which is ${sum}`);
    return {
      name: this.#text(fields.name, `${path}.name`),
      size,
      ...(sha256 === undefined ? {} : { sha256 }),
      pieces,
    };
  }

  #piece(json: unknown, path: string): CatalogPiece {
    const fields = this.#object(json, path);
    const size = this.#wholeNumber(fields.size, `${path}.size`, Number.MAX_SAFE_INTEGER);
    return {
      url: this.#link(fields.url, `${path}.url`),
      size,
      ...(fields.sha256 === undefined ? {} : { sha256: this.#sha256(fields.sha256, `${path}.sha256`) }),
      ...(fields.parts === undefined ? {} : { parts: this.#parts(fields.parts, size, `${path}.parts`) }),
    };
  }

  #parts(json: unknown, size: number, path: string): string[] {
    const parts = this.#list(json, path, (part, at) => this.#sha256(part, at));
    const expected = Math.ceil(size / PART_SIZE);
    if (parts.length !== expected) {
      this.#fail(path, `${parts.length} hashes`, `have ${expected}: one for each ${PART_SIZE} bytes, begun or whole`);
    }
    return parts;
  }

  /** An id or alias: well-formed, and not taken by another model. */
  #name(value: unknown, path: string, owner: string): string {
    const name = this.#text(value, path);
    if (!NAME.test(name)) {
      this.#fail(
        path,
        name,
        'be at most 128 letters, digits and . _ - : / @ +, the first a letter or digit, and hold no .. or //',
      );
    }
    if (name === RESERVED) this.#fail(path, name, 'be another name: this one always means the default model');
    const taken = this.#names.get(name);
    if (taken !== undefined) this.#fail(path, name, `be the only one: ${taken} has it already`);
    this.#names.set(name, owner);
    return name;
  }

  #capability(value: unknown, path: string): Capability {
    const capability = CAPABILITIES.find((known) => known === value);
    return capability ?? this.#fail(path, value, `be one of ${CAPABILITIES.join(', ')}`);
  }

  /** A link, unchanged. It has to lead to http(s), not to a script. */
  #link(value: unknown, path: string): string {
    const link = this.#text(value, path);
    const resolved = URL.canParse(link, this.#url) ? new URL(link, this.#url) : null;
    if (resolved?.protocol !== 'https:' && resolved?.protocol !== 'http:') {
      this.#fail(path, link, 'be an http(s) address, or one relative to the catalog');
    }
    return link;
  }

  #sha256(value: unknown, path: string): string {
    const hash = this.#text(value, path);
    if (!/^[0-9a-f]{64}$/.test(hash)) {
      this.#fail(path, hash, 'be 64 hexadecimal digits in lower case, as `sha256sum` prints them');
    }
    return hash;
  }

  #wholeNumber(value: unknown, path: string, max: number, remedy = ''): number {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) {
      this.#fail(path, value, `be a whole number from 1 to ${max}${remedy}`);
    }
    return value;
  }

  #text(value: unknown, path: string): string {
    if (typeof value !== 'string' || value === '') this.#fail(path, value, 'be a text that is not empty');
    return value;
  }

  #list<T>(value: unknown, path: string, read: (item: unknown, path: string) => T): T[] {
    if (!Array.isArray(value) || value.length === 0) this.#fail(path, value, 'be a list that is not empty');
    return value.map((item: unknown, i) => read(item, `${path}[${i}]`));
  }

  #object(value: unknown, path: string): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.#fail(path, value, 'be an object');
    return value as Fields;
  }

  #fail(path: string, value: unknown, shouldBe: string): never {
    const shown = value === undefined ? 'missing' : (JSON.stringify(value) ?? String(value));
    const short = shown.length > 100 ? `${shown.slice(0, 100)}…` : shown;
    throw new LlamatabError(
      'server_error',
      `The catalog ${this.#url} is wrong: ${path} is ${short}; it should ${shouldBe}.`,
    );
  }
}
