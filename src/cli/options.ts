/** Reads the command line. Pure. */
import { parseArgs } from 'node:util';
import { ENGINE_BUILDS } from '../engine-builds.ts';
import type { AddToCatalog, CheckCatalog } from './catalog.ts';
import type { Init } from './init.ts';

/** Something is wrong with the command, not with the model. */
export class UsageError extends Error {}

/** In the folder that is served. */
const CATALOG = 'models/catalog.json';
/** Cloudflare Pages takes files of up to 25 MiB, and other hosts larger ones. */
const DEFAULT_LIMIT = 24 * 2 ** 20;
const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/**
 * @param served folder of the site that is served at its base.
 * @throws UsageError
 */
export function parseAdd(
  args: string[],
  environment: Record<string, string | undefined>,
  served = 'public',
): AddToCatalog {
  const { values, positionals } = read(args, {
    catalog: { type: 'string' },
    id: { type: 'string' },
    alias: { type: 'string', multiple: true },
    name: { type: 'string' },
    authors: { type: 'string' },
    license: { type: 'string' },
    'license-url': { type: 'string' },
    homepage: { type: 'string' },
    context: { type: 'string' },
    projector: { type: 'string' },
    limit: { type: 'string' },
    copy: { type: 'boolean' },
    token: { type: 'string' },
    default: { type: 'boolean' },
    replace: { type: 'boolean' },
    'dry-run': { type: 'boolean' },
  });
  const [source, ...more] = positionals;
  if (source === undefined)
    throw new UsageError('Which model? Give its id, a GGUF file, its URL, or owner/repo:quant.');
  if (more.length > 0) throw new UsageError(`One model at a time. Unexpected argument: ${JSON.stringify(more[0])}.`);
  const token = values.token ?? environment.HF_TOKEN;
  const described = {
    id: values.id,
    name: values.name,
    authors: values.authors,
    license: values.license,
    licenseUrl: values['license-url'],
    homepage: values.homepage,
    contextLength: values.context === undefined ? undefined : readContext(values.context),
  };
  return {
    source,
    catalog: values.catalog ?? `${served}/${CATALOG}`,
    aliases: values.alias ?? [],
    described: Object.fromEntries(Object.entries(described).filter(([, value]) => value !== undefined)),
    limit: values.limit === undefined ? DEFAULT_LIMIT : readLimit(values.limit),
    copy: values.copy ?? false,
    makeDefault: values.default ?? false,
    replace: values.replace ?? false,
    dryRun: values['dry-run'] ?? false,
    ...(values.projector === undefined ? {} : { projector: values.projector }),
    ...(token === undefined || token === '' ? {} : { token }),
  };
}

/** @throws UsageError */
export function parseCheck(args: string[], served = 'public'): CheckCatalog {
  const { values, positionals } = read(args, { catalog: { type: 'string' } });
  if (positionals.length > 0) throw new UsageError(`Unexpected argument: ${JSON.stringify(positionals[0])}.`);
  return { catalog: values.catalog ?? `${served}/${CATALOG}` };
}

/** @throws UsageError */
export function parseInit(args: string[]): Init {
  const { values, positionals } = read(args, { 'leave-out': { type: 'string' } });
  const [root = '.', ...more] = positionals;
  if (more.length > 0) throw new UsageError(`One folder at a time. Unexpected argument: ${JSON.stringify(more[0])}.`);
  const builds = values['leave-out']?.split(',') ?? [];
  const leaveOut = ENGINE_BUILDS.filter((build) => builds.includes(build));
  const unknown = builds.find((build) => !ENGINE_BUILDS.some((known) => known === build));
  if (unknown === undefined && leaveOut.length < ENGINE_BUILDS.length) return { root, leaveOut };
  throw new UsageError(
    `--leave-out takes some of ${ENGINE_BUILDS.join(',')}, but got ${JSON.stringify(values['leave-out'])}.`,
  );
}

type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>['options']>;

function read<const T extends Options>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. To specify')[0]}.`);
  }
}

/** `24M` → bytes; `none` → Infinity. */
function readLimit(text: string): number {
  if (text === 'none') return Number.POSITIVE_INFINITY;
  const [, digits = '', unit = ''] = /^(\d+)([KMG]?)$/i.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toUpperCase()] ?? 0);
  // Thousands of tiny pieces would be of no use.
  if (digits !== '' && bytes >= 2 ** 20) return bytes;
  throw new UsageError(`--limit takes a size of at least 1M, as 24M or 2G, or none, but got ${JSON.stringify(text)}.`);
}

function readContext(text: string): number {
  const tokens = Number(text);
  if (/^\d+$/.test(text) && tokens >= 1 && tokens <= 2 ** 24) return tokens;
  throw new UsageError(`--context takes a number of tokens, but got ${JSON.stringify(text)}.`);
}
