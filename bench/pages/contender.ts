/** What both pages do: start, complete what they are told to, and report their times to `measure.mjs`. */
import type { Completion } from './completion.ts';

/** What the page's address tells it. */
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
  /** Anything else that is to be reported. */
  info(): Promise<unknown>;
}

/** The part of the page's address that tells it what to do. */
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
