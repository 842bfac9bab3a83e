/**
 * Native llama.cpp, from npm's node-llama-cpp. It takes 85 MB, so it isn't a dependency of the project: `installNative` puts it
 * beside this file. Until then its types are missing, so the ones used are declared here.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../../src/cli/prerequisites.mjs';
import { CONTEXT_SIZE, type Contender, type Engine, SLOTS } from './contenders.ts';
import type { Completion, CompletionOptions } from './protocol.ts';

export interface NativeLlama {
  /** llama.cpp's release, as node-llama-cpp names it. */
  version: string;
  load: Contender['load'];
}

type Token = number;
interface Sequence {
  readonly nextTokenIndex: number;
  adaptStateToTokens(tokens: Token[], allowShift: boolean): Promise<void>;
  clearHistory(): Promise<void>;
  evaluate(tokens: Token[], options: { temperature: number; yieldEogToken: boolean }): AsyncIterable<Token>;
}
interface Context {
  getSequence(): Sequence;
  dispose(): Promise<void>;
}
interface EmbeddingContext {
  getEmbeddingFor(text: string): Promise<{ vector: readonly number[] }>;
  dispose(): Promise<void>;
}
interface Model {
  tokenize(text: string): Token[];
  detokenize(tokens: Token[]): string;
  createContext(options: object): Promise<Context>;
  createEmbeddingContext(options: object): Promise<EmbeddingContext>;
  dispose(): Promise<void>;
}
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{ llamaCppRelease: { release: string }; loadModel(o: object): Promise<Model> }>;
}

const FOLDER = join(root, 'bench/engine/native');
const PACKAGE = join(FOLDER, 'node_modules/node-llama-cpp');

/** The platforms for which node-llama-cpp has a CPU binary. */
const PLATFORMS: Record<string, string> = {
  'linux x64': 'linux-x64',
  'linux arm64': 'linux-arm64',
  'darwin x64': 'mac-x64',
  'darwin arm64': 'mac-arm64-metal',
  'win32 x64': 'win-x64',
  'win32 arm64': 'win-arm64',
};

/** Installs it, or says why that is impossible. */
export function installNative(): void {
  const platform = PLATFORMS[`${process.platform} ${process.arch}`];
  if (!platform) {
    console.error(`There is no native llama.cpp for ${process.platform} ${process.arch} on npm.`);
    return;
  }
  const { dependencies } = JSON.parse(readFileSync(join(FOLDER, 'package.json'), 'utf8'));
  const version = dependencies['node-llama-cpp'];
  // Without its optional packages, which are binaries for other GPUs; and without its script, which compiles.
  const flags = ['--no-save', '--no-package-lock', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  const packages = [`node-llama-cpp@${version}`, `@node-llama-cpp/${platform}@${version}`];
  const shell = process.platform === 'win32';
  spawnSync('npm', ['install', ...flags, ...packages], { cwd: FOLDER, stdio: 'inherit', shell });
}

/**
 * @param load Node's `import`
 * @returns null if it is not installed or doesn't run; the reason is printed
 */
export async function openNative(load: (url: string) => Promise<unknown>): Promise<NativeLlama | null> {
  if (!existsSync(PACKAGE)) {
    console.error('Native llama.cpp is left out: `npm run bench:engine -- --native` installs it (85 MB).');
    return null;
  }
  try {
    const { getLlama } = (await load(pathToFileURL(join(PACKAGE, 'dist/index.js')).href)) as NodeLlamaCpp;
    const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
    return {
      version: llama.llamaCppRelease.release,
      async load({ kind, file }, threads) {
        const model = await llama.loadModel({ modelPath: file.path, gpuLayers: 0 });
        return kind === 'embedding' ? embeddingEngine(model, threads) : completionEngine(model, threads);
      },
    };
  } catch (error) {
    console.error(`Native llama.cpp is left out: it does not run here (${error}).`);
    return null;
  }
}

async function completionEngine(model: Model, threads: number): Promise<Engine> {
  const context = await model.createContext({
    sequences: SLOTS,
    contextSize: CONTEXT_SIZE,
    batchSize: 256,
    threads: { ideal: threads, min: threads },
    flashAttention: true,
    experimentalKvCacheKeyType: 'Q8_0',
    experimentalKvCacheValueType: 'Q8_0',
  });
  const sequences = Array.from({ length: SLOTS }, () => context.getSequence());
  return {
    async complete(prompts, options) {
      const prepared = await Promise.all(
        prompts.map((prompt, index) => prepare(model.tokenize(prompt), sequences[index] as Sequence, options)),
      );
      return Promise.all(prepared.map((run) => run()));
    },
    async embed() {
      throw new Error('no embedding model');
    },
    async unload() {
      await context.dispose();
      await model.dispose();
    },
  };

  async function prepare(tokens: Token[], sequence: Sequence, options: CompletionOptions) {
    if (options.cachePrompt) await sequence.adaptStateToTokens(tokens, false);
    else await sequence.clearHistory();
    const rest = tokens.slice(sequence.nextTokenIndex);
    return async (): Promise<Completion> => {
      const start = performance.now();
      let first = 0;
      const generated: Token[] = [];
      for await (const token of sequence.evaluate(rest, { temperature: 0, yieldEogToken: true })) {
        first ||= performance.now();
        generated.push(token);
        if (generated.length === options.tokens) break;
      }
      if (generated.length !== options.tokens) throw new Error(`${generated.length} tokens came natively.`);
      return {
        promptTokens: rest.length,
        promptMs: first - start,
        decodedTokens: generated.length - 1,
        decodeMs: performance.now() - first,
        drafted: 0,
        accepted: 0,
        text: model.detokenize(generated),
      };
    };
  }
}

async function embeddingEngine(model: Model, threads: number): Promise<Engine> {
  const context = await model.createEmbeddingContext({ contextSize: 512, batchSize: 512, threads });
  return {
    async complete() {
      throw new Error('an embedding model');
    },
    async embed(text) {
      const start = performance.now();
      const { vector } = await context.getEmbeddingFor(text);
      const milliseconds = performance.now() - start;
      return { tokens: model.tokenize(text).length, milliseconds, vector: [...vector] };
    },
    async unload() {
      await context.dispose();
      await model.dispose();
    },
  };
}
