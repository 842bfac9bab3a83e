/** Requests that are made to see what llama.cpp makes of them, not for their answers. */
import type { Json, LoadedModelInfo } from './engine.ts';

/** Outweighs every other token. */
const CERTAIN = 10_000;

/**
 * A chat that ends at once: what a model says may not fit its template's format, and that would be an error. With `verbose`,
 * the answer has the prompt and the settings.
 */
export function endedAtOnce(chat: Json, { eosToken }: Pick<LoadedModelInfo, 'eosToken'>): Json {
  return { ...chat, stream: false, n_predict: 1, verbose: true, logit_bias: eosToken < 0 ? [] : [[eosToken, CERTAIN]] };
}
