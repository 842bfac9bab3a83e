/** Finds the files of `owner/repo:quant` on a hub, as `llama-server -hf` does (llama.cpp's `common/download.cpp`). */
import { LlamatabError } from '../errors.ts';
import { allShards, shardOf } from './describe.ts';
import { explainStatus, type FetchLike } from './http.ts';
import { parseHubName } from './hub-name.ts';
import { unreachable } from './remote-file.ts';

export const DEFAULT_ENDPOINT = 'https://huggingface.co';

/** The quantizations to look for if none is named, in this order. */
const PREFERRED = ['Q4_K_M', 'Q8_0'];

/** In the names of GGUF files that are no models: projectors, and heads that draft for a model. */
const NO_MODEL = /mmproj|^mtp[-_.]|eagle3|dflash|dspark/i;
/** A matrix by which a model was quantized; or a model that says so, which names its quantization too. */
const MATRIX = /imatrix/i;
const QUANTIZATION = /(^|[^a-z0-9])(I?Q\d_|T?Q\d_|MXFP\d|B?F(16|32)([^a-z0-9]|$))/i;
/** A head that drafts, or a model with one. */
const MAYBE_DRAFT = /(^|[^a-z0-9])(mtp|draft)([^a-z0-9]|$)/i;

/** A repository with more files than this is not a model's. */
const MAX_FILES = 20_000;

export interface HubFile {
  path: string;
  /** Absolute. */
  url: string;
  /** Bytes. */
  size: number;
  /** Known for large files (LFS), which weights are. */
  sha256?: string;
}

export interface HubModel {
  repo: string;
  /** The quantization that was found, as in the file's name. */
  tag: string;
  /** In order. */
  shards: HubFile[];
  projector?: HubFile;
}

export interface HubOptions {
  fetch: FetchLike;
  /** Default: `https://huggingface.co`. */
  endpoint?: string | undefined;
  headers: Record<string, string>;
}

export async function findOnHub(name: string, options: HubOptions): Promise<HubModel> {
  const { repo, tag } = parseHubName(name);
  return chooseFiles(await listFiles(repo, options), repo, tag);
}

/** Chooses among a repository's files. Pure. @throws LlamatabError that names what there is instead */
export function chooseFiles(files: readonly HubFile[], repo: string, tag: string): HubModel {
  const ggufs = files.filter(({ path }) => isGguf(path) && !isNoModel(fileName(path)));
  const certain = ggufs.filter(({ path }) => !MAYBE_DRAFT.test(path));
  const models = certain.length > 0 ? certain : ggufs;
  const firsts = models.filter(({ path }) => (shardOf(path)?.index ?? 1) === 1);
  const wanted = tag === '' ? PREFERRED : [tag];
  const byTag = wanted.map((one) => withTag(firsts, one)).find((file) => file !== undefined);
  const first = byTag ?? (tag === '' ? firsts[0] : undefined);
  if (first === undefined) {
    const there = [...new Set(firsts.map(({ path }) => tagOf(path)))].join(', ');
    const what = tag === '' ? 'no GGUF file' : `no GGUF file with the quantization ${tag}`;
    throw new LlamatabError(
      'invalid_request_error',
      `${repo} has ${what}${there === '' ? ': look for a repository with GGUF files, often called ...-GGUF' : `. It has: ${there}`}.`,
      { param: 'model' },
    );
  }
  const shards = allShards(first.path).map((path) => {
    const shard = models.find((file) => file.path === path);
    if (shard !== undefined) return shard;
    throw new LlamatabError('invalid_request_error', `${repo} lacks the shard ${path} of its model.`, {
      param: 'model',
    });
  });
  const projector = closestProjector(files, first.path);
  return { repo, tag: tag || tagOf(first.path), shards, ...(projector === undefined ? {} : { projector }) };
}

async function listFiles(
  repo: string,
  { fetch, endpoint = DEFAULT_ENDPOINT, headers }: HubOptions,
): Promise<HubFile[]> {
  const base = endpoint.replace(/\/+$/, '');
  const files: HubFile[] = [];
  let url: string | undefined = `${base}/api/models/${repo}/tree/main?recursive=true`;
  while (url !== undefined && files.length < MAX_FILES) {
    let response: Response;
    let listed: unknown;
    try {
      response = await fetch(url, { headers: { Accept: 'application/json', ...headers } });
      if (response.ok) listed = await response.json();
    } catch (error) {
      throw unreachable(url, error);
    }
    if (!response.ok) throw noRepository(repo, base, response.status, 'Authorization' in headers);
    if (!Array.isArray(listed)) {
      throw new LlamatabError(
        'unavailable_error',
        `${base} does not answer as a hub: it sent no list of ${repo}'s files.`,
      );
    }
    files.push(
      ...listed.flatMap((entry) => readEntry(entry, (path) => `${base}/${repo}/resolve/main/${encodePath(path)}`)),
    );
    // Across origins the header has to be exposed, which the hub does. The first page has a thousand files.
    const next: string | undefined = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    url = next !== undefined && new URL(next, url).origin === new URL(url).origin ? new URL(next, url).href : undefined;
  }
  return files;
}

function noRepository(repo: string, base: string, status: number, withToken: boolean): LlamatabError {
  // The hub also answers 401 for a repository that does not exist.
  const why =
    status === 404 || (status === 401 && !withToken)
      ? `HTTP ${status}: there is no such repository, or it is private or gated and needs a token.`
      : explainStatus(status, withToken);
  return new LlamatabError(
    status >= 500 || status === 429 ? 'unavailable_error' : 'invalid_request_error',
    `${base}/${repo}: ${why}`,
    {
      param: 'model',
    },
  );
}

function readEntry(entry: unknown, toUrl: (path: string) => string): HubFile[] {
  const { type, path, size, lfs } = (entry ?? {}) as Record<string, unknown>;
  if (type !== 'file' || typeof path !== 'string' || typeof size !== 'number') return [];
  const { oid, size: lfsSize } = (lfs ?? {}) as Record<string, unknown>;
  return [
    {
      path,
      url: toUrl(path),
      size: typeof lfsSize === 'number' ? lfsSize : size,
      ...(typeof oid === 'string' && /^[0-9a-f]{64}$/.test(oid) ? { sha256: oid } : {}),
    },
  ];
}

/** The projector in the model's folder or the nearest one above it, with the quantization that is closest in bits. */
function closestProjector(files: readonly HubFile[], modelPath: string): HubFile | undefined {
  const folder = folderOf(modelPath);
  const bits = bitsOf(modelPath);
  const candidates = files
    .filter(({ path }) => isGguf(path) && /mmproj/i.test(fileName(path)))
    // Some keep projectors in a folder of their own, beside the models.
    .map((file) => ({ file, at: folderOf(file.path).replace(/(^|\/)[^/]*mmproj[^/]*$/i, '') }))
    .filter(({ at }) => at === '' || folder === at || folder.startsWith(`${at}/`));
  candidates.sort((a, b) => b.at.length - a.at.length || distance(a.file, bits) - distance(b.file, bits));
  return candidates[0]?.file;
}

function distance({ path }: HubFile, bits: number): number {
  return Math.abs(bitsOf(path) - bits);
}

/** Q4_0 → 4, F16 → 16; 0 where there is no number. */
function bitsOf(path: string): number {
  return Number(/\d+/.exec(tagOf(path))?.[0] ?? 0);
}

/** The quantization, as the file's name ends. */
function tagOf(path: string): string {
  const base = (shardOf(path)?.base ?? path).replace(/\.gguf$/i, '');
  return (/[-.]([A-Za-z0-9_]+)$/.exec(base)?.[1] ?? fileName(base)).toUpperCase();
}

/** F16 is no BF16, and Q4_NL no IQ4_NL, unless there is nothing else. */
function withTag(files: readonly HubFile[], tag: string): HubFile | undefined {
  const escaped = tag.replaceAll('.', '\\.');
  const find = (pattern: RegExp) => files.find(({ path }) => pattern.test(path));
  return find(new RegExp(`(^|[^a-z0-9])${escaped}[.-]`, 'i')) ?? find(new RegExp(`${escaped}[.-]`, 'i'));
}

function isGguf(path: string): boolean {
  return /\.gguf$/i.test(path);
}

function isNoModel(name: string): boolean {
  return NO_MODEL.test(name) || (MATRIX.test(name) && !QUANTIZATION.test(name));
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
