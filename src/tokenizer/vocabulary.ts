/** A model's vocabulary, read from the `tokenizer.*` entries of its GGUF as llama.cpp's `llama_vocab::impl::load` does. */
import { LlamatabError } from '../errors.ts';
import { type GgufScalar, type GgufValue, readGgufHeader } from '../gguf/header.ts';
import { PRE_TOKENIZERS, type PreTokenizer } from './pre-tokenizers.ts';
import type { InfillTokens } from './tokenizer.ts';

/** llama.cpp's names (`tokenizer.ggml.model`) of the kinds that are known here: SPM, BPE, WPM and UGM in its source. */
export const KINDS = ['llama', 'gpt2', 'gemma4', 'bert', 't5'] as const;
export type Kind = (typeof KINDS)[number];

/** Bits of `Vocabulary.attributes`: `llama_token_attr`. */
export const UNKNOWN = 1;
export const UNUSED = 2;
export const NORMAL = 4;
export const CONTROL = 8;
export const USER_DEFINED = 16;
export const BYTE = 32;
/** Spaces before (after) the token are dropped with it. */
export const LEFT_STRIP = 64;
export const RIGHT_STRIP = 128;

export interface Vocabulary {
  kind: Kind;
  /** How text is cut before it is merged; only of the kinds `gpt2` and `gemma4`. */
  pre: PreTokenizer;
  /** By token id. */
  texts: readonly string[];
  scores: readonly number[];
  /** As they are in the file, and as llama.cpp corrects them. */
  rawAttributes: Uint8Array;
  attributes: Uint8Array;
  ids: ReadonlyMap<string, number>;
  /** The ranks of merges, written `left right`: the lowest is merged first. */
  ranks: ReadonlyMap<string, number>;
  addSpacePrefix: boolean;
  removeExtraWhitespaces: boolean;
  addBos: boolean;
  addEos: boolean;
  /** Undefined where the model has none. */
  bos: number | undefined;
  eos: number | undefined;
  unknown: number | undefined;
  separator: number | undefined;
  infill: InfillTokens;
  /** BERT's normalizer. */
  lowerCase: boolean;
  stripAccents: boolean;
  /** Of `t5`: SentencePiece's compiled normalization rules. */
  charsMap: Uint8Array;
}

const LISTS = new Set(
  ['tokens', 'scores', 'token_type', 'merges', 'precompiled_charsmap'].map((name) => `tokenizer.ggml.${name}`),
);

/** The attribute of each `llama_token_type` that a file may have. */
const ATTRIBUTES = [0, NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE];

/** What a kind of tokenizer has where the file does not say. */
interface Defaults {
  bos?: number;
  eos?: number;
  unknown?: number;
  separator?: number;
  addSpacePrefix?: boolean;
  addBos?: boolean;
  addEos?: boolean;
}
const DEFAULTS: Readonly<Record<Kind, Defaults>> = {
  llama: { bos: 1, eos: 2, unknown: 0, addSpacePrefix: true, addBos: true },
  gpt2: { bos: 11, eos: 11 },
  gemma4: {},
  bert: { bos: 101, unknown: 100, separator: 102, addBos: true },
  t5: { eos: 1, unknown: 2, addEos: true },
};

/**
 * @param file The GGUF, or its first shard.
 * @throws LlamatabError `not_supported_error` for a kind or a pre-tokenizer that is not known; `server_error` for a damaged file.
 */
export async function readVocabulary(file: Blob, name: string): Promise<Vocabulary> {
  const { metadata } = await readGgufHeader(file, name, LISTS);
  return makeVocabulary(metadata, name);
}

/** @param metadata Of a GGUF header, with the lists of the vocabulary. */
export function makeVocabulary(metadata: ReadonlyMap<string, GgufValue>, name: string): Vocabulary {
  const file = new Entries(metadata, name);
  const kind = file.text('tokenizer.ggml.model') as Kind;
  if (!KINDS.includes(kind)) {
    throw new LlamatabError(
      'not_supported_error',
      `${name} has a tokenizer of the kind ${JSON.stringify(kind)}; those that are known: ${KINDS.join(', ')}.`,
    );
  }
  const pre = preTokenizer(kind, file.text('tokenizer.ggml.pre'), name);
  const defaults = { ...DEFAULTS[kind], ...pre.defaults };

  // llama.cpp reads them as C strings, which end at the first zero.
  const texts = file
    .list<string>('tokenizer.ggml.tokens', 'string')
    .map((text, id) => text.replace(/\0.*/s, '') || `[EMPTY_${id}]`);
  const ids = new Map(texts.map((text, id) => [text, id]));
  const types = file.list<number>('tokenizer.ggml.token_type', 'number', texts.length);
  const rawAttributes = Uint8Array.from(texts, (_, id) => (types ? (ATTRIBUTES[types[id] ?? 0] ?? 0) : NORMAL));
  const id = (entry: string, otherwise?: number) => {
    const given = file.number(`tokenizer.ggml.${entry}_token_id`);
    return [given, otherwise].find((candidate) => candidate !== undefined && candidate < texts.length);
  };

  return {
    kind,
    pre,
    texts,
    scores: file.list<number>('tokenizer.ggml.scores', 'number', texts.length) ?? texts.map(() => 0),
    rawAttributes,
    attributes: correctedAttributes(rawAttributes, ids, texts, file),
    ids,
    ranks:
      kind === 'gpt2' || kind === 'gemma4'
        ? mergeRanks(file.list<string>('tokenizer.ggml.merges', 'string'))
        : new Map(),
    addSpacePrefix: file.flag('tokenizer.ggml.add_space_prefix', defaults.addSpacePrefix),
    removeExtraWhitespaces: file.flag('tokenizer.ggml.remove_extra_whitespaces'),
    // llama.cpp always adds Gemma's BOS, whatever the file says.
    addBos: file.flag('tokenizer.ggml.add_bos_token', defaults.addBos) || pre.alwaysBos === true,
    addEos: file.flag('tokenizer.ggml.add_eos_token', defaults.addEos),
    bos: id('bos', defaults.bos),
    eos: id('eos', defaults.eos),
    unknown: id('unknown', defaults.unknown),
    separator: id('seperator', defaults.separator),
    infill: infillTokens(ids, texts.length, file),
    lowerCase: file.flag('tokenizer.ggml.normalizer.lowercase', true),
    stripAccents: file.flag(
      'tokenizer.ggml.normalizer.strip_accents',
      file.flag('tokenizer.ggml.normalizer.lowercase', true),
    ),
    charsMap: Uint8Array.from(file.list<number>('tokenizer.ggml.precompiled_charsmap', 'number', 0) ?? []),
  };
}

/** @throws LlamatabError for a pre-tokenizer that llama.cpp does not know either, so that it would not load the model */
function preTokenizer(kind: Kind, name: string, file: string): PreTokenizer {
  const asked = kind === 'gemma4' ? 'gemma4' : kind === 'gpt2' ? name || 'default' : 'default';
  const known = Object.hasOwn(PRE_TOKENIZERS, asked) ? PRE_TOKENIZERS[asked] : undefined;
  if (known) return known;
  throw new LlamatabError(
    'not_supported_error',
    `${file} has a pre-tokenizer that is not known: ${JSON.stringify(asked)}.`,
  );
}

/** A merge is `left right`; the left one may begin with a space. If the same merge occurs twice, the first one counts. */
function mergeRanks(merges: readonly string[] | undefined): Map<string, number> {
  const ranks = new Map<string, number>();
  merges?.forEach((merge, rank) => {
    if (merge.indexOf(' ', 1) > 0 && !ranks.has(merge)) ranks.set(merge, rank);
  });
  return ranks;
}

/** Tokens that end a turn or a text. They are control tokens, whatever the file says. */
const END_TEXTS = [
  ...['<|eot_id|>', '<|im_end|>', '<|end|>', '<|return|>', '<|call|>', '<|flush|>', '<|calls|>', '<end_of_turn>'],
  ...['<|endoftext|>', '</s>', '<|eom_id|>', '<EOT>', '_<EOT>', '[EOT]', '[EOS]', '<|end_of_text|>'],
  ...['<end_of_utterance>', '<eos>', '<turn|>', '<|tool_response>', '<｜end▁of▁sentence｜>', '[e~['],
];

/** Tokens of fill-in-the-middle: control tokens as well, one of each kind where the file names none. */
const INFILL_TEXTS: readonly { part?: keyof InfillTokens; entries: readonly string[]; texts: readonly string[] }[] = [
  {
    part: 'prefix',
    entries: ['fim_pre', 'prefix'],
    texts: [
      ...['<|fim_prefix|>', '<fim-prefix>', '<fim_prefix>', '<｜fim▁begin｜>', '<PRE>', '▁<PRE>'],
      ...['<|code_prefix|>', '<|prefix|>'],
    ],
  },
  {
    part: 'suffix',
    entries: ['fim_suf', 'suffix'],
    texts: [
      ...['<|fim_suffix|>', '<fim-suffix>', '<fim_suffix>', '<｜fim▁hole｜>', '<SUF>', '▁<SUF>'],
      ...['<|code_suffix|>', '<|suffix|>'],
    ],
  },
  {
    part: 'middle',
    entries: ['fim_mid', 'middle'],
    texts: [
      ...['<|fim_middle|>', '<fim-middle>', '<fim_middle>', '<｜fim▁end｜>', '<MID>', '▁<MID>'],
      ...['<|code_middle|>', '<|middle|>'],
    ],
  },
  { entries: ['fim_pad'], texts: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'] },
  {
    part: 'repository',
    entries: ['fim_rep'],
    texts: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  },
  { part: 'file', entries: ['fim_sep'], texts: ['<|file_sep|>'] },
];

/** The tokens that the file names (a later entry of the list wins over an earlier one), else those whose text looks right. */
function infillTokens(ids: ReadonlyMap<string, number>, size: number, file: Entries): InfillTokens {
  const tokens: { -readonly [Part in keyof InfillTokens]: number } = {};
  for (const { part, entries, texts } of INFILL_TEXTS) {
    const named = entries.map((entry) => file.number(`tokenizer.ggml.${entry}_token_id`) ?? size);
    const found =
      named.findLast((id) => id < size) ?? texts.map((text) => ids.get(text)).find((id) => id !== undefined);
    if (part !== undefined && found !== undefined) tokens[part] = found;
  }
  return tokens;
}

/** gpt-oss's own tokens, which are shown as text. */
const SHOWN_TEXTS = ['<|channel|>', '<|message|>', '<|start|>', '<|constrain|>'];

/** The attributes as llama.cpp corrects them: for types that converters got wrong, and for models whose tokens strip spaces. */
function correctedAttributes(
  raw: Uint8Array,
  ids: ReadonlyMap<string, number>,
  texts: readonly string[],
  file: Entries,
): Uint8Array {
  const attributes = raw.slice();
  const change = (text: string, how: (attribute: number) => number) => {
    const id = ids.get(text);
    if (id !== undefined) attributes[id] = how(attributes[id] ?? 0);
  };
  const addControl = (attribute: number) => attribute | CONTROL;

  for (const { entries, texts: candidates } of INFILL_TEXTS) {
    const named = entries.some(
      (entry) => (file.number(`tokenizer.ggml.${entry}_token_id`) ?? texts.length) < texts.length,
    );
    const found = candidates.find((text) => ids.has(text));
    if (!named && found !== undefined) change(found, addControl);
  }
  for (const text of END_TEXTS) change(text, addControl);
  for (const text of SHOWN_TEXTS) change(text, () => USER_DEFINED);

  const has = (...wanted: string[]) => wanted.some((text) => ids.has(text));
  if (has('<|call|>', '<|calls|>') && has('<|return|>', '<|flush|>')) change('<|end|>', () => USER_DEFINED);
  if (has('<|tool_response>')) change('</s>', () => NORMAL);

  const pre = file.text('tokenizer.ggml.pre');
  const architecture = file.text('general.architecture');
  const model = file.text('general.name').toLowerCase();
  if (
    ['jina-v2-de', 'jina-v2-es', 'jina-v2-code'].some((name) => pre.includes(name)) ||
    ['nomic-bert-moe', 'jina-bert-v3'].some((name) => architecture.includes(name))
  ) {
    change('<mask>', (attribute) => attribute | LEFT_STRIP);
  } else if (model.includes('phi-3') || model.includes('phi3')) {
    for (const [id, attribute] of attributes.entries()) {
      if (isSpecial(attribute) || texts[id] === '</s>') attributes[id] = attribute | RIGHT_STRIP;
    }
    for (const text of ['<unk>', '<s>', '<|endoftext|>']) change(text, (attribute) => attribute & ~RIGHT_STRIP);
  } else if (model.includes('modern-bert')) {
    change('[MASK]', (attribute) => attribute | LEFT_STRIP);
  }
  return attributes;
}

/** Tokens that are looked for in a text before anything else. */
export function isSpecial(attribute: number): boolean {
  return (attribute & (CONTROL | USER_DEFINED | UNKNOWN)) !== 0;
}

/** The metadata, by type. An entry of another type counts as absent; a list of another type is an error. */
class Entries {
  readonly #metadata: ReadonlyMap<string, GgufValue>;
  readonly #name: string;

  constructor(metadata: ReadonlyMap<string, GgufValue>, name: string) {
    this.#metadata = metadata;
    this.#name = name;
  }

  text(key: string): string {
    const value = this.#metadata.get(key);
    return typeof value === 'string' ? value : '';
  }

  number(key: string): number | undefined {
    const value = this.#metadata.get(key);
    return typeof value === 'number' ? value : undefined;
  }

  flag(key: string, otherwise = false): boolean {
    const value = this.#metadata.get(key);
    return typeof value === 'boolean' ? value : otherwise;
  }

  /** @param length The fewest elements that it may have. Without it, the list has to be there. */
  list<T extends GgufScalar>(key: string, type: 'string' | 'number'): T[];
  list<T extends GgufScalar>(key: string, type: 'string' | 'number', length: number): T[] | undefined;
  list<T extends GgufScalar>(key: string, type: 'string' | 'number', length?: number): T[] | undefined {
    const value = this.#metadata.get(key);
    if (value === undefined && length !== undefined) return undefined;
    const values = typeof value === 'object' ? value.values : null;
    // All elements of a list are of one type.
    if (values !== null && values.length >= (length ?? 0) && (values.length === 0 || typeof values[0] === type)) {
      return values as T[];
    }
    throw new LlamatabError('server_error', `${this.#name} is damaged: ${key} is missing, too short or too long.`);
  }
}
