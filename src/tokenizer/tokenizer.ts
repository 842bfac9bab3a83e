/** Tokens by the part of a prompt that they mark. A model has those that it was trained to fill gaps with. */
export type InfillTokens = { readonly [Part in 'prefix' | 'suffix' | 'middle' | 'repository' | 'file']?: number };

/** A model's tokenizer, with the same ids for the same text as llama.cpp's own. */
export interface Tokenizer {
  /** Tokens in the vocabulary; ids are 0 to `size` - 1. */
  readonly size: number;
  /** The tokens that `addSpecial` puts around a text. */
  readonly added: { readonly before: readonly number[]; readonly after: readonly number[] };
  /** The tokens of a text with a gap to be filled (FIM). */
  readonly infill: InfillTokens;
  /** A text cut at its special tokens, which are given as ids. */
  parts(text: string): (string | number)[];
  /**
   * @param addSpecial Whether the tokens that the model wants around a text (BOS, EOS, CLS, SEP) are added. Default: false.
   * @param parseSpecial Whether the text of a control token (`<|im_start|>`) becomes that token. Default: true, as in
   *   llama-server's prompts.
   */
  encode(text: string, options?: { addSpecial?: boolean; parseSpecial?: boolean }): number[];
  /** The text of `tokens`, control tokens included; bytes that are not UTF-8 become U+FFFD. As `POST /detokenize` does it. */
  decode(tokens: readonly number[]): string;
  /** The bytes that a token stands for, which may be only part of a character. */
  piece(token: number): Uint8Array;
}
