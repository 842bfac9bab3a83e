/** The commands of `npm run bench:engine`. */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { findOrInstallChromium } from '../../src/cli/prerequisites.mjs';
import { createBrowser } from '../browser.mjs';
import { contenders } from './contenders.ts';
import { drafting } from './drafting.ts';
import { matrix, only } from './matrix.ts';
import { type Measured, measureGroup } from './measure.ts';
import { installNative, openNative } from './native.ts';
import { oldEngine } from './old.ts';
import { perplexity } from './perplexity.ts';
import type { EnginesPage } from './protocol.ts';
import { publish, thisMachine } from './report.ts';
import { type Site, startSite } from './site.ts';
import { soak } from './soak.ts';
import { type Browser, visit } from './visit.ts';

const OPTIONS = {
  runs: { type: 'string', default: '5' },
  /** Only tests the harness: one run of a few cells, written to dist/. */
  quick: { type: 'boolean', default: false },
  /** Every combination: an hour. */
  full: { type: 'boolean', default: false },
  /** Models and contenders by their ids, separated by commas. */
  only: { type: 'string', default: '' },
  /** A commit whose engine takes part. */
  old: { type: 'string' },
  /** Installs native llama.cpp first. */
  native: { type: 'boolean', default: false },
  perplexity: { type: 'boolean', default: false },
  drafting: { type: 'boolean', default: false },
  soak: { type: 'boolean', default: false },
  /** Path of the result, relative to the repository, without a suffix. */
  output: { type: 'string' },
} as const;

/** @param load Node's `import` */
export async function main(load: (url: string) => Promise<unknown>): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const runs = values.quick ? 1 : Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: a whole number of at least 1.`);
  const browser = createBrowser(findOrInstallChromium());
  if (values.soak) {
    const requests = Number(positionals[0] ?? 1000);
    if (!Number.isInteger(requests) || requests < 1) throw new Error(`--soak ${positionals[0]}: a number of requests.`);
    return soak(browser, requests, values.output ?? 'bench/engine/soak');
  }
  if (values.perplexity) {
    const output = values.output ?? 'bench/engine/perplexity';
    return withPage(browser, (site) => perplexity(site, browser.version, output));
  }
  if (values.drafting) {
    const output = values.output ?? 'bench/engine/drafting';
    return withPage(browser, (site) => drafting(site, browser.version, runs, output));
  }

  const start = Date.now();
  const loadAverage = loadavg()[0] ?? 0;
  if (values.native) installNative();
  const native = await openNative(load);
  const old = values.old === undefined ? null : await oldEngine(values.old);
  const size = values.quick ? 'quick' : values.full ? 'full' : 'default';
  const chosen = only(values.only.split(',').filter(Boolean), matrix(size));
  const measured: Measured[] = [];
  await withPage(browser, async (site) => {
    const all = contenders(site, native, old).filter(({ id }) => chosen.contenders.includes(id));
    for (const group of chosen.groups) {
      console.error(`${group.model.name}, threads: ${group.threads}`);
      measured.push(...(await measureGroup(group, all, runs)));
    }
  });
  publish(
    {
      date: new Date().toISOString(),
      machine: thisMachine(browser.version, native?.version ?? null),
      loadAverage,
      minutes: (Date.now() - start) / 60_000,
      runs,
      measured,
    },
    values.output ?? (values.quick ? 'dist/bench-engine/quick' : 'bench/engine/results'),
  );
  // Native llama.cpp keeps threads.
  process.exit();
}

/** Runs `run` while the page of engines is open. */
async function withPage(browser: Browser, run: (site: Site) => Promise<void>): Promise<void> {
  const site = await startSite<EnginesPage>('engines');
  try {
    await visit(browser, `${site.url}engines.html`, () => run(site));
  } finally {
    await site.close();
  }
}
