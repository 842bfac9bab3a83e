/** The calls that Node makes to the page that runs the engines, and their answers. Types only. */
import type { LoadModelParams } from '@wllama/wllama/esm/index.js';

export interface EngineSetup {
  /** URLs of the engine and of the GGUF file. */
  wasm: string;
  /** Of another version of wllama; null for the one that the project pins. */
  script: string | null;
  model: string;
  parameters: LoadModelParams;
}

export interface CompletionOptions {
  /** Tokens to generate, even past the end of the answer. */
  tokens: number;
  /** Whether to keep the part of the prompt that a slot still holds, and compute only the rest. */
  cachePrompt: boolean;
}

/** One completion, with the engine's own times. */
export interface Completion {
  /** Tokens of the prompt that were computed, and in how many milliseconds: until the first token was sampled. */
  promptTokens: number;
  promptMs: number;
  /** Tokens after the first, and in how many milliseconds. */
  decodedTokens: number;
  decodeMs: number;
  /** Tokens that were guessed, and how many of them were right. */
  drafted: number;
  accepted: number;
  text: string;
}

export interface Embedding {
  tokens: number;
  milliseconds: number;
  vector: number[];
}

/** One token of a text, and the logprob that the model gave it. */
export interface ScoredToken {
  id: number;
  token: string;
  logprob: number;
}

/** A page's functions, by the name that Node calls them by. */
// biome-ignore lint/suspicious/noExplicitAny: any function of JSON.
export type Commands<Page> = { [Name in keyof Page]: (...args: any[]) => Promise<any> };

/** The page of raw engines. Several may be loaded, but only one computes at a time. */
export type EnginesPage = {
  load(engine: string, setup: EngineSetup): Promise<void>;
  /** All prompts at once. */
  complete(engine: string, prompts: string[], options: CompletionOptions): Promise<Completion[]>;
  embed(engine: string, text: string): Promise<Embedding>;
  /** Has the model write these tokens after `prompt`. */
  score(engine: string, prompt: string, tokens: number[]): Promise<ScoredToken[]>;
  unload(engine: string): Promise<void>;
};

/** The page that uses the built site. */
export type SoakPage = {
  /** Starts llamatab. @returns the URL of the engine's wasm */
  start(): Promise<string>;
  /** Sends requests one after the other. */
  send(requests: SoakRequest[]): Promise<SoakAnswer[]>;
};

export type SoakRequest =
  | { type: 'chat'; messages: { role: string; content: string }[] }
  | { type: 'embedding'; input: string }
  /** A stream that is aborted after its first chunk. */
  | { type: 'abort'; messages: { role: string; content: string }[] };

export interface SoakAnswer {
  text: string;
  promptTokens: number;
  cachedTokens: number;
}

export interface Call {
  name: string;
  args: unknown[];
}

export type Answer = { result: unknown } | { error: string };

/** What a page posts to get its next call: the answer to the last one, or that it is ready. */
export type PageMessage = Answer | 'ready';
