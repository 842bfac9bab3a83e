/** The plugin's option `models`: makes a catalog of them, and says which files belong beside it. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { addToCatalog } from '../cli/catalog.ts';
import { findEmbedded } from '../cli/embedded.ts';
import type { Catalog, CatalogModel } from '../models/models.ts';

export interface SiteModel {
  /** As the string in its place: an id, a file, a URL, or `owner/repo:quant`. */
  source: string;
  /** What requests call it. Default: from the file's name. */
  id?: string;
  aliases?: string[];
  /** What the file's header does not say, or says wrong. */
  name?: string;
  authors?: string;
  license?: string;
  /** Tokens: fewer than the model was trained for. */
  contextLength?: number;
  /** The `mmproj` file of a local model that sees or hears. */
  projector?: string;
  /**
   * Of a URL, or a hub's model: download it when the site is built, and serve it from the site. Default: false, each visitor's browser
   * downloads it from there.
   */
  copy?: boolean;
}

export interface SiteModels {
  /** JSON; null if there are no models. */
  catalog: string | null;
  /** Files of the site by their path below its base, and where they are. */
  files: ReadonlyMap<string, string>;
}

export const NO_MODELS: SiteModels = { catalog: null, files: new Map() };

interface Context {
  /** The site's. */
  root: string;
  /** Folder for what was read, cut and downloaded: the next time, it is taken from there. */
  cacheDir: string;
}

/** Bytes of the largest piece: what Cloudflare Pages takes, and more so other hosts. */
const LIMIT = 24 * 2 ** 20;

/** @throws LlamatabError naming the model, and what to do */
export async function prepareModels(
  models: readonly (string | SiteModel)[],
  context: Context,
  print: (line: string) => void,
): Promise<SiteModels> {
  const entries: CatalogModel[] = [];
  const files = new Map<string, string>();
  for (const model of models) {
    const prepared = await prepareModel(typeof model === 'string' ? { source: model } : model, context, print);
    entries.push(prepared.entry);
    for (const [file, path] of prepared.files) files.set(`models/${file}`, path);
  }
  const catalog = { version: 1, default: entries[0]?.id ?? '', models: entries } satisfies Catalog;
  return { catalog: `${JSON.stringify(catalog, null, 2)}\n`, files };
}

async function prepareModel(
  model: SiteModel,
  { root, cacheDir }: Context,
  print: (line: string) => void,
): Promise<{ entry: CatalogModel; files: [file: string, path: string][] }> {
  const { source, aliases = [], copy = false, projector, ...described } = model;
  const local = resolve(root, source);
  const embedded = existsSync(local) ? null : findEmbedded(source, root);
  if (embedded !== null) {
    const entry = { ...embedded.model, ...described, ...(aliases.length > 0 ? { aliases } : {}) };
    return { entry, files: embedded.files.map((file) => [file, join(embedded.folder, file)]) };
  }
  const inRoot = (path: string) => (existsSync(resolve(root, path)) ? resolve(root, path) : path);
  const path = inRoot(source);
  const catalog = join(cacheDir, keyOf(model, path), 'catalog.json');
  if (!existsSync(catalog)) {
    const token = process.env.HF_TOKEN;
    await addToCatalog(
      {
        source: path,
        catalog,
        aliases,
        described,
        limit: LIMIT,
        copy,
        makeDefault: true,
        replace: true,
        dryRun: false,
        ...(projector === undefined ? {} : { projector: inRoot(projector) }),
        ...(token === undefined || token === '' ? {} : { token }),
      },
      print,
    );
  }
  const { models }: Catalog = JSON.parse(readFileSync(catalog, 'utf8'));
  const [entry] = models;
  if (entry === undefined) throw new Error(`${catalog} is empty: delete its folder.`);
  const urls = entry.files.flatMap(({ pieces }) => pieces.map(({ url }) => url)).filter((url) => !URL.canParse(url));
  const files = urls.map((url): [string, string] => {
    const file = decodeURIComponent(url);
    return [file, join(dirname(catalog), file)];
  });
  return { entry, files };
}

/** Another file, or another option, is prepared anew. */
function keyOf(model: SiteModel, path: string): string {
  const status = existsSync(path) ? statSync(path) : null;
  const parts = [model, path, status?.size, status?.mtimeMs];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** In development. */
export function serveModels(
  { catalog, files }: SiteModels,
  file: string,
  request: IncomingMessage,
  response: ServerResponse,
  next: () => void,
): void {
  if (file === 'models/catalog.json' && catalog !== null) {
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('Cache-Control', 'no-cache');
    response.end(catalog);
    return;
  }
  const path = files.get(decodeURIComponent(file));
  if (path === undefined) {
    next();
    return;
  }
  response.setHeader('Content-Type', 'application/octet-stream');
  response.setHeader('Content-Length', statSync(path).size);
  if (request.method === 'HEAD') response.end();
  else createReadStream(path).pipe(response);
}
