/** What is measured: models, threads, requests at once, tokens of context. */
import type { Contender, EngineModel } from './contenders.ts';
import type { Quantization } from './models/quantize.ts';
import { syntheticModel } from './models/synthetic-model.ts';
import { joinModel } from './site.ts';
import { WORDS } from './text.ts';

export interface BenchModel {
  id: string;
  name: string;
  kind: EngineModel['kind'];
  open(): Promise<EngineModel>;
  /** A prompt of about `tokens` tokens. Each number gives another one, but the first `shared` tokens are the same in all. */
  prompt(tokens: number, number: number, shared: number): string;
}

/** One line of the table. */
export interface Cell {
  requests: number;
  /** Tokens of each prompt. */
  context: number;
  /** Contenders that are left out. */
  without?: Contender['id'][];
}

/** Cells that are measured on the same loaded engines. */
export interface Group {
  model: BenchModel;
  threads: number;
  cells: Cell[];
}

/** Tokens of each prompt that are computed in each run; the ones before them are kept from the previous run. */
export const COMPUTED = 40;

/** How many words of the text make so many tokens. */
const fromWords =
  (tokensPerWord: number) =>
  (tokens: number, number: number, shared: number): string => {
    const [words, sharedWords] = [Math.round(tokens / tokensPerWord), Math.round(shared / tokensPerWord)];
    // Each passage begins at another word.
    const from = (number * 37) % (WORDS.length - words + sharedWords);
    return [...WORDS.slice(0, sharedWords), ...WORDS.slice(from, from + words - sharedWords)].join(' ');
  };

const smollm2: BenchModel = {
  id: 'smollm2',
  name: 'SmolLM2-135M-Instruct, Q4_1 (embedded)',
  kind: 'completion',
  open: async () => ({ kind: 'completion', file: await joinModel('smollm2-135m-instruct') }),
  prompt: fromWords(1.31),
};

const minilm: BenchModel = {
  id: 'minilm',
  name: 'all-MiniLM-L6-v2, Q8_0 (embedded), embeddings',
  kind: 'embedding',
  open: async () => ({ kind: 'embedding', file: await joinModel('all-minilm-l6-v2') }),
  prompt: fromWords(1.22),
};

const synthetic = (quantization: Quantization): BenchModel => ({
  id: quantization,
  name: `synthetic, 63 million weights, ${quantization}`,
  kind: 'completion',
  open: async () => ({ kind: 'completion', file: syntheticModel(quantization) }),
  // Each token is one character.
  prompt: (tokens, number) => WORDS.join(' ').slice(number * 37, number * 37 + tokens),
});

export const MODELS: BenchModel[] = [
  smollm2,
  ...(['Q4_0', 'Q8_0', 'Q4_K', 'Q6_K', 'F16'] as const).map(synthetic),
  minilm,
];

export const CONTENDERS: Contender['id'][] = ['old', 'wllama', 'wllama-plan', 'simd128', 'relaxed', 'native'];

const cell = (context: number, requests = 1): Cell => ({ context, requests });
const embeddings = [cell(9), cell(400)];

/** Published wllama with our plan's options, where they make little difference, or where it takes too long. */
const withoutPlan = (cell: Cell): Cell => ({ ...cell, without: ['wllama-plan'] });

/**
 * The default leaves out what takes published wllama minutes: long contexts and four requests on one thread. It takes up to twelve
 * minutes on two cores of a server.
 * @param size `quick` only tests the harness; `full` has every combination
 */
export function matrix(size: 'quick' | 'default' | 'full'): Group[] {
  const [q4, q8] = [MODELS[1], MODELS[2]] as [BenchModel, BenchModel];
  if (size === 'quick') {
    return [
      { model: smollm2, threads: 2, cells: [cell(40), cell(40, 4)] },
      { model: q4, threads: 2, cells: [cell(40)] },
      { model: q8, threads: 2, cells: [cell(40)] },
      { model: minilm, threads: 2, cells: embeddings },
    ];
  }
  const quantizations = MODELS.filter((model) => model !== smollm2 && model !== minilm);
  if (size === 'default') {
    const one = (model: BenchModel, threads: number, cells: Cell[]): Group => ({
      model,
      threads,
      cells: cells.map(withoutPlan),
    });
    return [
      one(smollm2, 1, [cell(40), cell(540)]),
      { model: smollm2, threads: 2, cells: [cell(40), withoutPlan(cell(40, 4)), cell(540), cell(1900)] },
      ...quantizations.map((model) => one(model, 2, [cell(40)])),
      one(minilm, 1, embeddings),
      one(minilm, 2, embeddings),
    ];
  }
  return [1, 2].flatMap((threads) => [
    { model: smollm2, threads, cells: [cell(40), cell(40, 4), cell(540), cell(540, 4), cell(1900)] },
    ...quantizations.map((model) => ({ model, threads, cells: [cell(40), cell(40, 4)] })),
    { model: minilm, threads, cells: embeddings },
  ]);
}

/**
 * Selects what the words name: models (`smollm2`, `Q8_0`, …), contenders (`relaxed`, `native`, …), or both.
 * @throws Error for a word that names nothing
 */
export function only(words: string[], groups: Group[]): { groups: Group[]; contenders: Contender['id'][] } {
  const models = MODELS.map(({ id }) => id);
  for (const word of words) {
    const known: string[] = [...models, ...CONTENDERS];
    if (!known.includes(word)) throw new Error(`--only ${word}: there are ${known.join(', ')}.`);
  }
  const chosen = <T extends string>(all: T[]) => {
    const named = all.filter((id) => words.includes(id));
    return named.length > 0 ? named : all;
  };
  const chosenModels = chosen(models);
  return { groups: groups.filter(({ model }) => chosenModels.includes(model.id)), contenders: chosen(CONTENDERS) };
}
