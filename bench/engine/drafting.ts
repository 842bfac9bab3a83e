/** What drafting from the text itself gains: with and without, on a text that is repeated and on one that is not. */
import { loadavg } from 'node:os';
import { LOOKUP } from '../../src/kernels/drafting.ts';
import { median } from '../statistics.mjs';
import { planned } from './contenders.ts';
import type { Completion } from './protocol.ts';
import { describeMachine, thisMachine, toMarkdown, writeResult } from './report.ts';
import { joinModel, type Site, writeEngine } from './site.ts';
import { WORDS } from './text.ts';

const THREADS = [1, 2];

/** Tokens of each answer. */
const TOKENS = 96;

/** Of `common_speculative_type`, which our build takes from this parameter: see `src/kernels/drafting.ts`. */
const NGRAM_SIMPLE = { spec_draft_threads_batch: 6 };

const CONTENDERS = [
  { id: 'none', parameters: {} },
  { id: 'lookup', parameters: NGRAM_SIMPLE },
] as const;
type Id = (typeof CONTENDERS)[number]['id'];

const ask = (question: string) => `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`;
const passage = (number: number) => WORDS.slice(number * 61, number * 61 + 60).join(' ');

const KINDS = [
  {
    // The third time it has seen it twice.
    name: 'goes on repeating itself',
    prompt: (number: number) => `${passage(number)}\n\n${passage(number)}\n\n${passage(number).slice(0, 40)}`,
  },
  {
    name: 'is asked to repeat a text',
    prompt: (number: number) => ask(`Repeat this text word for word:\n${passage(number)}`),
  },
  {
    name: 'a story',
    prompt: (number: number) =>
      ask(`Write a story that begins so: ${passage(number).split(' ').slice(0, 12).join(' ')}`),
  },
];

interface Line {
  kind: string;
  threads: number;
  samples: Record<Id, Completion[]>;
}

export async function drafting(site: Site, browser: string, runs: number, output: string): Promise<void> {
  const loadAverage = loadavg()[0] ?? 0;
  const start = Date.now();
  const model = await joinModel('smollm2-135m-instruct');
  const lines: Line[] = [];
  for (const threads of THREADS) {
    for (const { id, parameters } of CONTENDERS) {
      await site.call('load', id, {
        script: null,
        wasm: site.url.slice(0, -1) + writeEngine('relaxed'),
        model: model.url,
        parameters: { ...planned('completion'), ...parameters, n_threads: threads, n_gpu_layers: 0 },
      });
      // The browser compiles what is hot.
      await site.call('complete', id, [ask('Hello')], { tokens: TOKENS, cachePrompt: false });
    }
    for (const { name, prompt } of KINDS) {
      const samples: Line['samples'] = { none: [], lookup: [] };
      for (let run = 0; run < runs; run++) {
        for (const { id } of CONTENDERS) {
          const options = { tokens: TOKENS, cachePrompt: false };
          samples[id].push(...(await site.call('complete', id, [prompt(run)], options)));
        }
      }
      lines.push({ kind: name, threads, samples });
      console.error(`${name}, threads: ${threads}: ${gain(samples).toFixed(2)}×`);
    }
    for (const { id } of CONTENDERS) await site.call('unload', id);
  }

  const table = toMarkdown([
    ['threads', 'text', 'without, tokens/s', 'with, tokens/s', 'gain', 'drafted', 'of them right', 'same texts'],
    ...lines.map(({ kind, threads, samples }) => [
      `${threads}`,
      kind,
      rate(samples.none).toFixed(1),
      rate(samples.lookup).toFixed(1),
      `${gain(samples).toFixed(2)}×`,
      `${sum(samples.lookup, 'drafted')}`,
      `${sum(samples.lookup, 'accepted')}`,
      `${samples.none.filter(({ text }, run) => text === samples.lookup[run]?.text).length} of ${runs}`,
    ]),
  ]);
  const machine = thisMachine(browser, null);
  const markdown = `# Drafting from the text itself, ${new Date().toISOString().slice(0, 10)}

${table}

SmolLM2-135M-Instruct (Q4_1), relaxed SIMD, q8_0 KV cache, temperature 0, ${TOKENS} tokens an answer; medians of ${runs} answers. Where the last ${LOOKUP.repeated} tokens
were said before, up to ${LOOKUP.drafted} that followed then are verified in one step.
${describeMachine(machine)}; ${((Date.now() - start) / 60_000).toFixed(1)} minutes, load average before ${loadAverage.toFixed(2)}.
`;
  writeResult(output, markdown, JSON.stringify({ machine, loadAverage, lookup: LOOKUP, lines }, null, 1));
  console.log(`\n${markdown}`);
}

const rate = (samples: Completion[]) =>
  median(samples.map(({ decodedTokens, decodeMs }) => (decodedTokens * 1000) / decodeMs));

/** Each answer against the same one without. */
const gain = ({ none, lookup }: Line['samples']) =>
  median(none.map(({ decodeMs }, run) => decodeMs / (lookup[run] as Completion).decodeMs));

const sum = (samples: Completion[], name: 'drafted' | 'accepted') =>
  samples.reduce((total, sample) => total + sample[name], 0);
