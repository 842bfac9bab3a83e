/** Measures the cells. Each run measures every contender once, one after the other, so that a slow phase of the machine hits all. */
import type { Contender, Engine } from './contenders.ts';
import { type Cell, COMPUTED, type Group } from './matrix.ts';

/** Tokens that are generated for each prompt: enough for a rate, and not too many to wait for. */
const DECODED = 24;

export interface Measured {
  model: string;
  threads: number;
  requests: number;
  context: number;
  contender: Contender['id'];
  /** One for each run. Tokens a second, of all requests together; milliseconds for embeddings. */
  prompt: number[];
  decode: number[];
  embedding: number[];
  /** Tokens a second of computing the context before the runs, once; null where there is none. */
  fill: number | null;
  /** Tokens of each prompt, and what was generated in each run. */
  tokens: number;
  texts: string[];
}

export async function measureGroup(group: Group, contenders: Contender[], runs: number): Promise<Measured[]> {
  const model = await group.model.open();
  const engines = new Map<Contender, Engine>();
  try {
    const needed = contenders.filter(({ id }) => group.cells.some((cell) => !cell.without?.includes(id)));
    for (const contender of needed) engines.set(contender, await contender.load(model, group.threads));
    const measured: Measured[] = [];
    // The browser compiles functions again once they are hot.
    for (const engine of engines.values()) await warmUp(engine, group);
    for (const cell of group.cells) {
      const lines = contenders
        .filter(({ id }) => !cell.without?.includes(id))
        .map((contender) => emptyLine(group, cell, contender));
      for (const line of lines) await fill(line, group, engineOf(line));
      for (let run = 0; run < runs; run++) {
        for (const line of rotated(lines, run)) await sample(line, group, engineOf(line), run);
      }
      measured.push(...lines);
      console.error(`  ${describe(cell)}: ${lines.map(lastOf).join(' | ')}`);
    }
    for (const engine of engines.values()) await engine.unload();
    return measured;
  } catch (error) {
    // If the page itself has failed, there is nothing left to unload.
    throw new Error(`${group.model.name}, threads: ${group.threads}`, { cause: error });
  }

  function engineOf(line: Measured): Engine {
    const contender = contenders.find(({ id }) => id === line.contender) as Contender;
    return engines.get(contender) as Engine;
  }
}

async function warmUp(engine: Engine, { model }: Group): Promise<void> {
  if (model.kind === 'embedding') await engine.embed(model.prompt(100, 0, 0));
  else await engine.complete([model.prompt(COMPUTED, 50, 0)], { tokens: DECODED, cachePrompt: false });
}

/** Another one begins each run: the threads of the one before still spin for some milliseconds, which the next one pays for. */
const rotated = <T>(lines: T[], by: number): T[] => {
  const first = by % lines.length;
  return [...lines.slice(first), ...lines.slice(0, first)];
};

const emptyLine = ({ model, threads }: Group, { requests, context }: Cell, { id }: Contender): Measured => ({
  model: model.id,
  threads,
  requests,
  context,
  contender: id,
  prompt: [],
  decode: [],
  embedding: [],
  fill: null,
  tokens: 0,
  texts: [],
});

/** The prompts of a run share everything but their last tokens, or long contexts would take too long. */
function prompts({ model }: Group, { context, requests }: Cell, run: number): string[] {
  return Array.from({ length: requests }, (_, index) =>
    model.prompt(context, 1 + run * requests + index, Math.max(0, context - COMPUTED)),
  );
}

async function fill(line: Measured, group: Group, engine: Engine): Promise<void> {
  if (group.model.kind === 'embedding' || line.context <= COMPUTED) return;
  const completions = await engine.complete(prompts(group, line, 20), { tokens: 1, cachePrompt: true });
  line.fill = perSecond(
    completions.map(({ promptTokens }) => promptTokens),
    completions.map(({ promptMs }) => promptMs),
  );
}

async function sample(line: Measured, group: Group, engine: Engine, run: number): Promise<void> {
  if (group.model.kind === 'embedding') {
    const { tokens, milliseconds } = await engine.embed(group.model.prompt(line.context, 1 + run, 0));
    line.tokens = tokens;
    line.embedding.push(milliseconds);
    return;
  }
  const completions = await engine.complete(prompts(group, line, run), {
    tokens: DECODED,
    cachePrompt: line.context > COMPUTED,
  });
  line.tokens = Math.max(...completions.map(({ promptTokens }) => promptTokens));
  line.texts.push(...completions.map(({ text }) => text));
  line.prompt.push(
    perSecond(
      completions.map(({ promptTokens }) => promptTokens),
      completions.map(({ promptMs }) => promptMs),
    ),
  );
  line.decode.push(
    perSecond(
      completions.map(({ decodedTokens }) => decodedTokens),
      completions.map(({ decodeMs }) => decodeMs),
    ),
  );
}

/** Requests at once are computed together, so the longest time is that of all. */
function perSecond(tokens: number[], milliseconds: number[]): number {
  return (tokens.reduce((sum, count) => sum + count, 0) * 1000) / Math.max(...milliseconds);
}

const describe = ({ context, requests }: Cell) => `${context} tokens${requests > 1 ? ` × ${requests}` : ''}`;

const lastOf = ({ contender, prompt, decode, embedding, tokens }: Measured) =>
  embedding.length > 0
    ? `${contender} ${embedding.at(-1)?.toFixed(1)} ms (${tokens})`
    : `${contender} ${prompt.at(-1)?.toFixed(1)} / ${decode.at(-1)?.toFixed(1)} (${tokens})`;
