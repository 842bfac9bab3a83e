/**
 * The chaos: callers in several tabs, iframes and workers ask, while a monkey breaks what it can. Everything that is drawn is drawn
 * with one seed; what the browser makes of it is not, so a seed does not repeat a run.
 */
import { seededRandom } from '../../src/server/testing/seeded-random.ts';
import { type EngineFault, FAULTS_CHANNEL, openToFaults } from '../support/engine-faults.ts';
import { putNewServiceWorker } from '../support/fixtures.ts';
import type { SiteServer } from '../support/site-server.ts';
import { Chromium } from './chromium.ts';
import { answerOf, type ChaosRequest, judge, type Outcome, REQUESTS } from './requests.ts';
import { Gone, Tab } from './tab.ts';

export interface ChaosOptions {
  seed: number;
  faults: number;
  /** Kinds that are left out. */
  without?: readonly Fault[];
}

export interface Report {
  seed: number;
  seconds: number;
  requests: number;
  /** By kind: how often, and what came of the requests that were under way then. One may have met several. */
  faults: Record<string, { times: number; right: number; errors: number }>;
  right: number;
  /** Explicit errors, by message. */
  errors: Record<string, number>;
  /** Requests whose page went away before they were over. */
  callersGone: number;
  /**
   * Without an end, and their page was frozen while it read them: Chromium may never give it the rest. The service worker breaks such answers
   * off; one that ends in the moment in which the page is frozen can't break off any more.
   */
  cutByFreezing: number;
  /** What came of the requests that filled the queue: right answers, and those that were told that it is full. */
  burst: { right: number; refused: number };
  /** Milliseconds of the longest silence within an answer that was right and had a fault while it lasted: median and 99th percentile. */
  recovery: { p50: number; p99: number };
  /** Milliseconds from the beginning of a page to the end of its `serve()`: median and 99th percentile. */
  opening: { p50: number; p99: number };
  /** Why a page had to be loaded again, with how often. */
  notLoaded: Record<string, number>;
  /** Each error, with what happened while its request lasted. */
  failed: string[];
  /** What must not be, likewise. */
  wrong: string[];
  hung: string[];
}

/** A request that was sent. */
interface Sent {
  tab: Tab;
  from: (typeof FROM)[number];
  request: ChaosRequest;
  /** Whether the stream goes on without its page. */
  named: boolean;
  /** Seconds since the beginning. */
  at: number;
  /** Faults before it. */
  faults: number;
  /** How often its tab had been frozen. */
  freezes: number;
}

/** Tabs that are kept open. */
const TABS = 4;
/** Requests under way at a time. */
const CALLERS = 6;
/** Milliseconds between two rounds of faults, at most. */
const PAUSE = 600;
/** Faults of a round, which come one upon the other. */
const ROUNDS = [1, 1, 1, 2, 2, 3] as const;
/** Right answers between two rounds, or as many milliseconds. */
const BETWEEN = 8;
const MOST_BETWEEN = 5000;
const POLL = 50;
/** Milliseconds after which a request counts as hung, beyond whatever a frozen page sleeps. */
const HUNG = 120_000;
/** As many tell all that there is to tell. */
const MOST_HUNG = 3;
/** Milliseconds to find out why. */
const DIAGNOSIS = 15_000;
/** Of the streams, those that are named. */
const NAMED = 1 / 3;
/** Milliseconds that IndexedDB fails, at most. */
const DATABASE_FAILS = 1200;
/** Faults between two lines that tell how it goes. */
const TOLD_EVERY = 100;
/** Milliseconds between two looks at a request. */
const LOOK = 1000;
/** Milliseconds that a frozen page sleeps, at most, or a page that was left stays away. */
const AWAY = 8_000;
/** Seconds, in place of what fits the device: a tiny model's step is a thousandth of it. */
const HANG_AFTER = 10;
/** More than there is room for. */
const BURST = 230;

const FROM = ['page', 'server', 'frame', 'worker'] as const;

/** How often each is drawn, of all their sum. */
const FAULTS = {
  'close a tab': 6,
  'crash a tab': 4,
  'reload a tab': 5,
  'reload a tab past its caches': 2,
  'leave a page, come back': 5,
  'freeze a tab': 4,
  'stop the service worker': 2,
  'update the service worker': 2,
  'end the engine worker': 4,
  'crash the engine': 4,
  'crash the engine for lack of memory': 1,
  'silence the engine': 2,
  'stop() and serve()': 3,
  'fail IndexedDB': 2,
  'fill the queue': 1,
} as const;
export type Fault = keyof typeof FAULTS;

export async function runChaos(site: SiteServer, { seed, faults, without = [] }: ChaosOptions): Promise<Report> {
  openToFaults(site);
  const chaos = new Chaos(site, seed, without);
  try {
    await chaos.begin();
    await chaos.run(faults);
    return chaos.report();
  } finally {
    await chaos.close();
  }
}

class Chaos {
  readonly #site: SiteServer;
  readonly #seed: number;
  readonly #random: () => number;
  readonly #kinds: [Fault, number][];
  readonly #browser = new Chromium();
  readonly #tabs = new Set<Tab>();
  /** By their place in `REQUESTS`. */
  readonly #expected: string[] = [];
  readonly #faults: Report['faults'] = {};
  readonly #errors = new Map<string, number>();
  readonly #silences: number[] = [];
  readonly #openings: number[] = [];
  readonly #notLoaded = new Map<string, number>();
  /** Faults, with the seconds since the beginning. */
  readonly #log: { at: number; fault: Fault; tab: Tab }[] = [];
  readonly #began = performance.now();
  readonly #failed: string[] = [];
  readonly #wrong: string[] = [];
  readonly #hung: string[] = [];
  readonly #burst = { right: 0, refused: 0 };
  /** Things under way that outlast their fault: a page that comes back, a burst. */
  readonly #pending = new Set<Promise<void>>();
  #requests = 0;
  #right = 0;
  #callersGone = 0;
  #cutByFreezing = 0;
  #versions = 0;
  #opened = 0;
  #over = false;

  constructor(site: SiteServer, seed: number, without: readonly Fault[]) {
    this.#site = site;
    const kinds = Object.entries(FAULTS) as [Fault, number][];
    this.#kinds = kinds.filter(([fault]) => !without.includes(fault));
    this.#seed = seed;
    this.#random = seededRandom(seed);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }

  #draw(): Fault {
    let left = this.#random() * this.#kinds.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [fault, weight] of this.#kinds) {
      left -= weight;
      if (left < 0) return fault;
    }
    return 'close a tab';
  }

  /** Seconds since the beginning. */
  get #now(): number {
    return (performance.now() - this.#began) / 1000;
  }

  get #faultsSoFar(): number {
    return this.#log.length;
  }

  get #ready(): Tab[] {
    return [...this.#tabs].filter(({ isReady, isFrozen }) => isReady && !isFrozen);
  }

  async #open(): Promise<Tab> {
    const options = JSON.stringify({ engine: { hangAfter: HANG_AFTER, measure: false } });
    const url = `${this.#site.url}test/chaos.html?options=${encodeURIComponent(options)}`;
    const tab = await Tab.open(this.#browser, url, ++this.#opened);
    this.#tabs.add(tab);
    return tab;
  }

  /** Waits until the tab's page is ready, which it has to be unless it goes. */
  #settle(tab: Tab): void {
    const began = performance.now();
    const onFailure = (reason: string) => this.#notLoaded.set(reason, (this.#notLoaded.get(reason) ?? 0) + 1);
    this.#later(
      tab.ready(onFailure).then(
        (again) => {
          this.#openings.push(performance.now() - began);
          again.forEach(onFailure);
        },
        async (error: Error) => {
          if (!tab.isGone) this.#hung.push(`tab ${tab.number}: ${error.message} (${await this.#diagnose()})`);
        },
      ),
    );
  }

  #later(work: Promise<void>): void {
    const pending = work.finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  }

  /** The right answers, and the tabs. */
  async begin(): Promise<void> {
    const first = await this.#open();
    await first.ready();
    for (const request of REQUESTS) {
      const answer = answerOf(request, await this.#ask(first, 'page', request, false));
      if (answer === null) throw new Error(`no answer to ${JSON.stringify(request)}, and nothing was disturbed`);
      this.#expected.push(answer);
    }
    while (this.#tabs.size < TABS) await (await this.#open()).ready();
  }

  #ask(tab: Tab, from: Sent['from'], { path, body }: ChaosRequest, named: boolean): Promise<Outcome> {
    return tab.evaluate(`ask(${[from, path, body, named].map((value) => JSON.stringify(value)).join()})`);
  }

  async run(faults: number): Promise<void> {
    const callers = Array.from({ length: CALLERS }, () => this.#call());
    let told = 0;
    while (this.#faultsSoFar < faults && this.#hung.length < MOST_HUNG) {
      await sleep(this.#random() * PAUSE);
      await this.#nextAnswers();
      for (let left = this.#pick(ROUNDS) ?? 1; left > 0; left--) await this.#inflict(this.#draw());
      for (const tab of this.#tabs) if (tab.isGone) this.#tabs.delete(tab);
      while (this.#tabs.size < TABS) this.#settle(await this.#open());
      if (this.#faultsSoFar < told + TOLD_EVERY) continue;
      told = this.#faultsSoFar;
      // All but the failures, so that a run that is cut off has told something.
      console.log(JSON.stringify({ ...this.report(), failed: this.#failed.length }));
    }
    this.#over = true;
    await Promise.all(callers);
    await Promise.all(this.#pending);
  }

  /** So that a fault meets a site that runs, and not the ruins that the last one left. */
  async #nextAnswers(): Promise<void> {
    const enough = this.#right + BETWEEN;
    for (let waited = 0; waited < MOST_BETWEEN && this.#right < enough; waited += POLL) await sleep(POLL);
  }

  async #call(): Promise<void> {
    while (!this.#over) {
      const tab = this.#pick(this.#ready);
      const from = this.#pick(FROM);
      const index = Math.floor(this.#random() * REQUESTS.length);
      const request = REQUESTS[index];
      if (tab === undefined || from === undefined || request === undefined) {
        await sleep(100);
        continue;
      }
      this.#requests++;
      const named = request.body.stream === true && this.#random() < NAMED;
      const { freezes } = tab;
      const sent: Sent = { tab, from, request, named, at: this.#now, faults: this.#faultsSoFar, freezes };
      const outcome = await this.#outcome(sent);
      if (outcome === 'gone') {
        this.#callersGone++;
        continue;
      }
      if (outcome === 'hung' && tab.freezes > freezes && (from === 'page' || from === 'frame')) {
        this.#cutByFreezing++;
        continue;
      }
      if (outcome === 'hung') {
        this.#hung.push(`${this.#describe(sent)}: ${await this.#diagnose()}`);
        continue;
      }
      const verdict = judge(request, outcome, this.#expected[index] ?? '');
      const met = new Set(this.#log.slice(sent.faults).map(({ fault }) => this.#tally(fault)));
      if (verdict.kind === 'wrong') this.#wrong.push(`${this.#describe(sent)}: ${verdict.what}`);
      else if (verdict.kind === 'error') {
        this.#errors.set(verdict.what, (this.#errors.get(verdict.what) ?? 0) + 1);
        this.#failed.push(`${this.#describe(sent)}: ${verdict.what}`);
        for (const tally of met) tally.errors++;
      } else {
        this.#right++;
        if (met.size > 0) this.#silences.push(outcome.silence);
        for (const tally of met) tally.right++;
      }
    }
  }

  #tally(fault: Fault): Report['faults'][string] {
    const tally = this.#faults[fault] ?? { times: 0, right: 0, errors: 0 };
    this.#faults[fault] = tally;
    return tally;
  }

  /** Who asked for what, and what happened meanwhile. */
  #describe({ tab, from, request, named, at, faults }: Sent): string {
    const { stream, max_tokens } = request.body;
    const kind = `${named ? 'named ' : ''}${stream ? 'stream' : 'document'} of ${max_tokens} tokens`;
    const meanwhile = this.#log
      .slice(faults)
      .map((each) => `+${(each.at - at).toFixed(1)} s ${each.fault} (tab ${each.tab.number})`);
    return `tab ${tab.number}, ${from}: ${kind}, sent at ${at.toFixed(1)} s [${meanwhile.join(', ')}]`;
  }

  async #outcome({ tab, from, request, named }: Pick<Sent, 'tab' | 'from' | 'request' | 'named'>) {
    const asked = this.#ask(tab, from, request, named).catch((error: Error) => {
      // Told by the browser before it tells of the page.
      if (error instanceof Gone || tab.isGone || /context|navigat|collected/i.test(error.message))
        return 'gone' as const;
      throw error;
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<'hung'>((resolve) => {
      let awake = 0;
      timer = setInterval(() => {
        if (!tab.isFrozen) awake += LOOK;
        if (awake >= HUNG) resolve('hung');
      }, LOOK);
    });
    const stops = tab.stops;
    try {
      const outcome = await Promise.race([asked, late]);
      // Its page ended it.
      return from === 'server' && tab.stops > stops ? 'gone' : outcome;
    } finally {
      clearInterval(timer);
    }
  }

  /** What each page, the engine and its queue say while something hangs. */
  async #diagnose(): Promise<string> {
    const silent = sleep(DIAGNOSIS).then(() => 'the page does not answer either');
    const told = [...this.#tabs].map(async (tab) => {
      if (!tab.isReady || tab.isFrozen) return { tab: tab.number, isReady: tab.isReady, isFrozen: tab.isFrozen };
      const says = Promise.race([tab.evaluate('diagnose()'), silent]).catch((error: Error) => error.message);
      return { tab: tab.number, says: await says };
    });
    return JSON.stringify(await Promise.all(told));
  }

  async #inflict(fault: Fault): Promise<void> {
    const tab = this.#pick(this.#ready);
    // One tab at least lives on: without any, nobody could answer.
    if (tab === undefined || this.#ready.length < 2) return;
    this.#tally(fault).times++;
    this.#log.push({ at: this.#now, fault, tab });
    try {
      await this.#do(fault, tab);
    } catch (error) {
      if (!(error instanceof Gone) && !tab.isGone) throw error;
    }
  }

  async #do(fault: Fault, tab: Tab): Promise<void> {
    switch (fault) {
      case 'close a tab':
        return tab.close();
      case 'crash a tab':
        return tab.crash();
      case 'reload a tab':
      case 'reload a tab past its caches':
        await tab.reload(fault === 'reload a tab past its caches');
        return this.#settle(tab);
      case 'leave a page, come back': {
        await tab.leave(`${this.#site.url}test/plain.html`);
        const back = async () => {
          await sleep(this.#random() * AWAY);
          await tab.back();
          this.#settle(tab);
        };
        return this.#later(back().catch((error: Error) => this.#onLate(tab, error)));
      }
      case 'freeze a tab': {
        await tab.freeze();
        const thaw = async () => {
          await sleep(this.#random() * AWAY);
          await tab.thaw();
        };
        return this.#later(thaw().catch((error: Error) => this.#onLate(tab, error)));
      }
      case 'stop the service worker':
        return tab.stopServiceWorkers();
      case 'update the service worker':
        putNewServiceWorker(this.#site, ++this.#versions);
        return tab.evaluate('navigator.serviceWorker.ready.then((registration) => void registration.update())');
      case 'end the engine worker':
        // The host's: those of the others have nothing to lose yet.
        await Promise.all(
          this.#ready.map((each) =>
            each.evaluate(`server.status.role === 'host' && engineWorkers.at(-1).terminate()`).catch(() => {}),
          ),
        );
        return;
      case 'crash the engine':
        return this.#toEngine(tab, { type: 'crash', reason: 'RuntimeError: unreachable' });
      case 'crash the engine for lack of memory':
        return this.#toEngine(tab, { type: 'crash', reason: 'RuntimeError: Aborted(OOM)' });
      case 'silence the engine':
        return this.#toEngine(tab, { type: 'end' });
      case 'stop() and serve()':
        tab.isReady = false;
        tab.stops++;
        await tab.evaluate('void (ready = server.stop().then(start))');
        return this.#settle(tab);
      case 'fail IndexedDB':
        return this.#toEngine(tab, { type: 'database', milliseconds: this.#random() * DATABASE_FAILS });
      case 'fill the queue':
        return this.#later(this.#fillQueue(tab));
      default:
        fault satisfies never;
    }
  }

  #onLate(tab: Tab, error: Error): void {
    if (!tab.isGone) this.#hung.push(`tab ${tab.number}, which came back: ${error.message}`);
  }

  #toEngine(tab: Tab, fault: EngineFault): Promise<void> {
    const channel = JSON.stringify(FAULTS_CHANNEL);
    return tab.evaluate(`(() => {
      const channel = new BroadcastChannel(${channel});
      channel.postMessage(${JSON.stringify(fault)});
      channel.close();
    })()`);
  }

  async #fillQueue(tab: Tab): Promise<void> {
    const [request] = REQUESTS;
    if (request === undefined) return;
    const sent = { tab, from: 'page', request, named: false } as const;
    const outcomes = await Promise.all(Array.from({ length: BURST }, () => this.#outcome(sent)));
    for (const outcome of outcomes) {
      if (outcome === 'gone') continue;
      if (outcome === 'hung') {
        this.#hung.push('one of many that filled the queue');
        continue;
      }
      const verdict = judge(request, outcome, this.#expected[0] ?? '');
      if (verdict.kind === 'right') this.#burst.right++;
      else if (verdict.kind === 'error') this.#burst.refused++;
      else this.#wrong.push(`one of many: ${verdict.what}`);
    }
  }

  report(): Report {
    return {
      seed: this.#seed,
      seconds: Math.round(this.#now),
      requests: this.#requests,
      faults: this.#faults,
      right: this.#right,
      errors: Object.fromEntries(this.#errors),
      callersGone: this.#callersGone,
      cutByFreezing: this.#cutByFreezing,
      burst: this.#burst,
      recovery: percentiles(this.#silences),
      opening: percentiles(this.#openings),
      notLoaded: Object.fromEntries(this.#notLoaded),
      failed: this.#failed,
      wrong: this.#wrong,
      hung: this.#hung,
    };
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}

function percentiles(milliseconds: number[]): { p50: number; p99: number } {
  const sorted = milliseconds.toSorted((a, b) => a - b);
  const percentile = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return { p50: percentile(0.5), p99: percentile(0.99) };
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
