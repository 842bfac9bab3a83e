/**
 * Checks that a long-lived tab stays within its memory: distinct prompts through `/v1` of the built site, and between them chats of
 * several turns, embeddings and streams that are aborted.
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { root } from '../../src/cli/prerequisites.mjs';
import { PROMPT_CACHE_MIB } from '../../src/kernels/prompt-cache.ts';
import type { SoakPage, SoakRequest } from './protocol.ts';
import { describeMachine, thisMachine, writeResult } from './report.ts';
import { startSite, WORK } from './site.ts';
import { WORDS } from './text.ts';
import { type Browser, visit } from './visit.ts';

/** Prompts before the first measurement. By then models are loaded, functions are compiled, and every slot has been used. */
const WARM_UP = 20;
/** Prompts between two measurements. */
const STEP = 10;
/** How much a tab may grow, apart from the prompt cache. */
const ALLOWANCE_MIB = 64;
const TURNS = 6;

type Message = { role: string; content: string };

export async function soak(browser: Browser, wanted: number, output: string): Promise<void> {
  if (!existsSync(join(root, 'dist/site/llamatab'))) throw new Error('dist/site is not built: run `npm run build`.');
  const folder = join(WORK, 'soak');
  // A copy: the built site may change while this runs.
  rmSync(folder, { recursive: true, force: true });
  cpSync(join(root, 'dist/site'), folder, { recursive: true });
  const site = await startSite<SoakPage>('soak', [folder]);
  const loadAverage = loadavg()[0] ?? 0;
  const start = Date.now();

  // When interrupted, it finishes the current step and publishes the result so far.
  let interrupted = false;
  process.once('SIGINT', () => {
    interrupted = true;
  });

  const run = async (profile: string) => {
    const wasm = await site.call('start');
    const conversation = new Conversation();
    const memory: { prompts: number; mib: number }[] = [];
    let shortest = Number.POSITIVE_INFINITY;
    for (let prompts = 0; prompts < WARM_UP + wanted && !interrupted; prompts += STEP) {
      for (let i = 0; i < STEP; i++) {
        const [answer] = await site.call('send', [{ type: 'chat', messages: distinct(prompts + i) }]);
        shortest = Math.min(shortest, answer?.promptTokens ?? 0);
        if (i % 5 === 4) await conversation.turn((request) => site.call('send', [request]));
      }
      const text = WORDS.slice(prompts % 1000, (prompts % 1000) + 100).join(' ');
      await site.call('send', [
        { type: 'embedding', input: text },
        { type: 'abort', messages: distinct(-1 - prompts) },
      ]);
      if (prompts + STEP >= WARM_UP) {
        memory.push({ prompts: prompts + STEP - WARM_UP, mib: rendererMemory(profile) });
        console.error(`${prompts + STEP} prompts: ${memory.at(-1)?.mib.toFixed(0)} MiB`);
      }
    }
    return { wasm, shortest, memory, ...conversation.result };
  };

  try {
    const result = await visit(browser, `${site.url}soak.html`, run);
    const count = result.memory.at(-1)?.prompts ?? 0;
    const sizes = result.memory.map(({ mib }) => mib);
    const growth = Math.max(...sizes) - (sizes[0] ?? 0);
    const limit = PROMPT_CACHE_MIB + ALLOWANCE_MIB;
    const machine = thisMachine(browser.version, null);
    const minutes = (Date.now() - start) / 60_000;
    const markdown = `# Soak, ${new Date().toISOString().slice(0, 10)}

${count} distinct prompts of at least ${result.shortest} tokens, ${result.turns} turns of chats, ${Math.ceil((WARM_UP + count) / STEP)} embeddings and as many aborted streams, after ${WARM_UP} prompts to warm up; ${minutes.toFixed(1)} minutes.

- The renderer's memory (PSS) grew from ${sizes[0]?.toFixed(0)} MiB by ${growth.toFixed(0)} MiB at most; in the second half by ${secondHalf(sizes).toFixed(0)} MiB. Limit: ${limit} MiB. ${growth <= limit ? 'Met.' : 'NOT MET.'}
- Of ${result.laterTurns} later turns of chats ${result.cachedTurns} took tokens from the prompt cache (${result.cachedTokens} of ${result.promptTokens} tokens).
- Engine: ${new URL(result.wasm).pathname}. ${describeMachine(machine)}; load average before ${loadAverage.toFixed(2)}.
`;
    writeResult(output, markdown, JSON.stringify({ machine, loadAverage, minutes, count, ...result }, null, 1));
    console.log(`\n${markdown}`);
  } finally {
    await site.close();
  }
}

const secondHalf = (sizes: number[]) => (sizes.at(-1) ?? 0) - (sizes[sizes.length >> 1] ?? 0);

/** A prompt of more than 200 tokens, different for each number from its first words on. */
function distinct(number: number): Message[] {
  const from = Math.abs(number * 61) % (WORDS.length - 170);
  const content = `${number} is the number of this passage. Continue it: ${WORDS.slice(from, from + 170).join(' ')}`;
  return [{ role: 'user', content }];
}

/** A chat that continues between other prompts, which take its slot. After some turns a new one begins. */
class Conversation {
  readonly result = { turns: 0, laterTurns: 0, cachedTurns: 0, cachedTokens: 0, promptTokens: 0 };
  #messages: Message[] = [];

  async turn(send: (request: SoakRequest) => Promise<{ text: string; promptTokens: number; cachedTokens: number }[]>) {
    if (this.#messages.length === 2 * TURNS) this.#messages = [];
    const from = (this.result.turns * 41) % (WORDS.length - 60);
    this.#messages.push({ role: 'user', content: `${this.result.turns}. ${WORDS.slice(from, from + 60).join(' ')}` });
    const [answer] = await send({ type: 'chat', messages: this.#messages });
    if (!answer) throw new Error('no answer');
    this.result.turns++;
    if (this.#messages.length > 1) {
      this.result.laterTurns++;
      this.result.cachedTokens += answer.cachedTokens;
      this.result.promptTokens += answer.promptTokens;
      if (answer.cachedTokens > 0) this.result.cachedTurns++;
    }
    this.#messages.push({ role: 'assistant', content: answer.text });
  }
}

/** MiB of the browser's renderers, each with its share of common memory (PSS). Linux only. */
function rendererMemory(profile: string): number {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const [, parent = ''] = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
        return [{ pid, parent, command }];
      } catch {
        // The process has ended.
        return [];
      }
    });
  const ours = new Set(
    processes.filter(({ command }) => command.includes(`--user-data-dir=${profile}`)).map(({ pid }) => pid),
  );
  // Renderers are children of a child.
  for (let generation = 0; generation < 4; generation++) {
    for (const { pid, parent } of processes) if (ours.has(parent)) ours.add(pid);
  }
  let kib = 0;
  for (const { pid, command } of processes) {
    if (!ours.has(pid) || !command.includes('--type=renderer')) continue;
    const [, pss = '0'] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
    kib += Number(pss);
  }
  if (kib === 0) throw new Error('No memory of a renderer is found in /proc: the soak needs Linux.');
  return kib / 1024;
}
