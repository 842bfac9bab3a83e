/** What both pages do: start, complete the given prompts, and report their times to `measure.mjs`. */
import type { Completion } from './completion.ts';

/** The page's task, from its address. */
export interface Task {
  /** Prompts that are completed at once, one batch after the other. */
  batches: string[][];
  /** Of each completion. */
  tokens: number;
}

/** What the page reports. */
export interface Outcome<Info> {
  /** Milliseconds from the opening of the page to the first token of its first completion. */
  firstToken: number;
  batches: Completion[][];
  info: Info;
}

interface Contender {
  load(): Promise<void>;
  completeAll(prompts: string[], tokens: number): Promise<Completion[]>;
  /** Anything else to report. */
  info(): Promise<unknown>;
}

/** Reads the task from the page's address. */
export const setup = JSON.parse(new URLSearchParams(location.search).get('setup') ?? '');

export async function contend(contender: Contender): Promise<void> {
  const report = (body: object) => fetch('/report', { method: 'POST', body: JSON.stringify(body) });
  try {
    await report(await perform(contender, setup));
  } catch (error) {
    await report({ error: String(error) });
  }
}

async function perform({ load, completeAll, info }: Contender, task: Task): Promise<Outcome<unknown>> {
  await load();
  const [{ first }] = (await completeAll(['Hello! Who are you?'], 8)) as [Completion];
  const batches = [];
  for (const prompts of task.batches) batches.push(await completeAll(prompts, task.tokens));
  return { firstToken: first - performance.timeOrigin, batches, info: await info() };
}
