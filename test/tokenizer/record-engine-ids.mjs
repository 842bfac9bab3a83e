/**
 * Writes `engine-ids.json`: what a native llama.cpp makes of the texts in `cases.ts`. The engine in the browser can't be
 * asked for the ids of 30,000 texts, and node-llama-cpp is too big (700 MB) to be a dependency for it:
 *
 *   mkdir /tmp/native && cd /tmp/native && npm init -y && npm install --ignore-scripts node-llama-cpp@3.22.1
 *   node test/tokenizer/record-engine-ids.mjs /tmp/native
 *
 * That version holds llama.cpp v0.5.0. Only names that are given after the folder are recorded anew, if any are.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { runnerImport } from 'vite';

const [folder, ...only] = process.argv.slice(2);
if (folder === undefined) throw new Error('Usage: record-engine-ids.mjs <folder with node-llama-cpp> [name…]');
const native = createRequire(join(resolve(folder), 'package.json')).resolve('node-llama-cpp');
const { getLlama } = await import(pathToFileURL(native).href);
/** @param {string} name Of a file beside this one. */
const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const { module } = await runnerImport(path('cases.ts'));
const { vocabularyCases, preTokenizerCase, preTokenizerNames, hashOf, parsesSpecial } = module;

/**
 * @param {{ tokenize(text: string, parseSpecial: boolean): Uint32Array }} model
 * @returns {(text: string, index: number) => string}
 */
function idsOf(model) {
  return (text, index) => hashOf(text === '' ? [] : model.tokenize(text, parsesSpecial(index)));
}

const llama = await getLlama({ build: 'never', gpu: false, logLevel: 'error' });
const output = path('engine-ids.json');
const recorded = only.length === 0 ? {} : JSON.parse(await readFile(output, 'utf8'));
const temporary = await mkdtemp(join(tmpdir(), 'vocabularies-'));
try {
  for (const { name, gguf, texts } of [...(await vocabularyCases()), ...preTokenizerNames.map(preTokenizerCase)]) {
    if (only.length > 0 && !only.includes(name)) continue;
    const file = join(temporary, 'model.gguf');
    await writeFile(file, Buffer.from(await gguf().arrayBuffer()));
    const model = await llama.loadModel({ modelPath: file, vocabOnly: true });
    // Its own `tokenize` is that of llama.cpp with some spaces taken away.
    const { _model } = model;
    recorded[name] = {
      addsBos: _model.shouldPrependBosToken(),
      addsEos: _model.shouldAppendEosToken(),
      ids: texts.map(idsOf(_model)).join(''),
    };
    await model.dispose();
    console.log(name, texts.length);
  }
} finally {
  await rm(temporary, { recursive: true });
}
await writeFile(output, `${JSON.stringify(recorded, null, 2)}\n`);
process.exit(0);
