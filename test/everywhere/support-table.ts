/** The support table of docs/compatibility.md, out of what a run of all engines saw. */
import type { EngineName } from '../support/engines/tab.ts';
import { FEATURES, type Feature, GAPS } from './gaps.ts';
import type { SupportNotes } from './support-notes.ts';

export const BEGIN = '<!-- Written by `npm run docs:support`: what its tests saw. -->';
export const END = '<!-- End of what `npm run docs:support` wrote. -->';

const ENGINES: Record<EngineName, string> = { chromium: 'Chromium', firefox: 'Firefox', webkit: 'WebKitGTK' };
const NAMES = Object.keys(ENGINES) as EngineName[];

/** What each spec shows. */
const ROWS: Record<string, string> = {
  callers: 'interception: pages, iframes, workers, the OpenAI client; `server.fetch`',
  streams: 'streams chunk by chunk, cancelling, streams that outlive an idle service worker',
  'resumable-streams': 'streams that are taken up again after a reload',
  tabs: 'one engine for all tabs, takeover',
  sites: 'several sites of one origin',
  'site-worker': 'a service worker of the site’s own; options that tabs share',
  deploys: 'tabs that stay open through a deploy',
  'content-policy': 'a Content-Security-Policy, and what it forbids named',
  isolation: '`serve({ isolate: true })`',
  store: 'verified downloads from servers that misbehave',
  models: 'resuming, added files, repair',
  offline: 'a second visit, and one without a network',
  console: 'the console',
  'same-results': 'the same bits in each, and the same texts as in Chromium',
};

/** What one spec did in one engine. */
export interface SpecResult {
  passed: number;
  skipped: number;
}

export interface EngineResult {
  specs: Record<string, SpecResult>;
  notes: Partial<SupportNotes>;
}

export function supportTable(results: Record<EngineName, EngineResult>): string {
  const row = (title: string, cell: (name: EngineName) => string) => `| ${[title, ...NAMES.map(cell)].join(' | ')} |`;
  const notesOf = (name: EngineName) => results[name].notes;
  return [
    BEGIN,
    '',
    row('', (name) => `${ENGINES[name]} ${notesOf(name).version ?? '?'}`),
    row('---', () => '---'),
    ...Object.entries(ROWS).map(([spec, title]) =>
      row(`${title} (\`${spec}.spec\`)`, (name) => tests(results[name].specs[spec])),
    ),
    row('build of the engine', (name) => buildOf(notesOf(name).runtime)),
    row('embedded model, reading a prompt', (name) => speedOf('prompt', notesOf(name), notesOf('chromium'))),
    row('embedded model, writing', (name) => speedOf('predicted', notesOf(name), notesOf('chromium'))),
    ...(Object.keys(FEATURES) as Feature[]).map((feature) =>
      row(feature, (name) => (GAPS[name][feature] === undefined ? 'yes' : 'no')),
    ),
    '',
    ...NAMES.flatMap((name) =>
      Object.entries(GAPS[name]).map(([feature, reason]) => `- ${ENGINES[name]} without ${feature}: ${reason}`),
    ),
    '',
    END,
  ].join('\n');
}

function tests(result: SpecResult | undefined): string {
  if (result === undefined || result.passed === 0) return 'not tested';
  return result.skipped === 0 ? 'yes' : `yes, without ${result.skipped} of ${result.passed + result.skipped} tests`;
}

function buildOf(runtime: SupportNotes['runtime'] | undefined): string {
  if (runtime === undefined) return '?';
  const threads = `${runtime.threads} ${runtime.threads === 1 ? 'thread' : 'threads'}`;
  return `${runtime.compat ? 'compatible, ' : ''}\`${runtime.variant}\`, ${threads}`;
}

function speedOf(
  what: 'prompt' | 'predicted',
  { speed }: Partial<SupportNotes>,
  chromium: Partial<SupportNotes>,
): string {
  if (speed === undefined || chromium.speed === undefined) return '?';
  return `${Math.round((100 * speed[what]) / chromium.speed[what])} %`;
}
