/** llama.cpp's own names and numbers for what a GGUF header says. */

/** `enum llama_vocab_type`, by `tokenizer.ggml.model`. */
const VOCABULARY_TYPES: Record<string, number> = { llama: 1, gpt2: 2, bert: 3, t5: 4, rwkv: 5, plamo2: 6 };

/** @returns 0, which is "none", if the header does not say */
export function vocabularyType(tokenizer: string | undefined): number {
  return VOCABULARY_TYPES[tokenizer ?? ''] ?? 0;
}

/** `enum llama_ftype`, by `general.file_type`. */
const FILE_TYPES: Record<string, string> = {
  0: 'all F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  7: 'Q8_0',
  8: 'Q5_0',
  9: 'Q5_1',
  10: 'Q2_K - Medium',
  11: 'Q3_K - Small',
  12: 'Q3_K - Medium',
  13: 'Q3_K - Large',
  14: 'Q4_K - Small',
  15: 'Q4_K - Medium',
  16: 'Q5_K - Small',
  17: 'Q5_K - Medium',
  18: 'Q6_K',
  19: 'IQ2_XXS - 2.0625 bpw',
  20: 'IQ2_XS - 2.3125 bpw',
  21: 'Q2_K - Small',
  22: 'IQ3_XS - 3.3 bpw',
  23: 'IQ3_XXS - 3.0625 bpw',
  24: 'IQ1_S - 1.5625 bpw',
  25: 'IQ4_NL - 4.5 bpw',
  26: 'IQ3_S - 3.4375 bpw',
  27: 'IQ3_S mix - 3.66 bpw',
  28: 'IQ2_S - 2.5 bpw',
  29: 'IQ2_M - 2.7 bpw',
  30: 'IQ4_XS - 4.25 bpw',
  31: 'IQ1_M - 1.75 bpw',
  32: 'BF16',
  36: 'TQ1_0 - 1.69 bpw ternary',
  37: 'TQ2_0 - 2.06 bpw ternary',
  38: 'MXFP4 MoE',
};

export function fileTypeName(fileType: string | undefined): string {
  return FILE_TYPES[fileType ?? ''] ?? 'unknown, may not work';
}

/** `enum llama_pooling_type`, by `<architecture>.pooling_type`. */
const POOLING_TYPES = ['none', 'mean', 'cls', 'last', 'rank'] as const;
export type PoolingType = (typeof POOLING_TYPES)[number];

/** How an embedding model makes one vector out of those of its tokens; null if the header does not say. */
export function poolingType(metadata: Record<string, string>): PoolingType | null {
  return POOLING_TYPES[Number(metadata[`${metadata['general.architecture']}.pooling_type`] ?? -1)] ?? null;
}
