/** The person's settings, kept in localStorage. */

export interface Settings {
  systemPrompt: string;
  /** 0 to 2. */
  temperature: number;
  /** 0 to 1. */
  topP: number;
  /** 0 to 200; 0 for all. */
  topK: number;
  /** 0 to 1. */
  minP: number;
  /** 1 to 2. */
  repeatPenalty: number;
  /** Null for another one each time. */
  seed: number | null;
  /** Most tokens of one answer, 1 or more. */
  maxTokens: number;
  format: AnswerFormat;
  /** A JSON schema, as it was typed; counts with the format `schema`. */
  schema: string;
  /** OpenAI's `tools`, an array in JSON, as it was typed. */
  tools: string;
  toolChoice: ToolChoice;
  /** Id of the model to chat with; null for the site's default. */
  model: string | null;
}

export type AnswerFormat = 'text' | 'json' | 'schema';
export type ToolChoice = 'auto' | 'required' | 'none';

export const MAX_TEMPERATURE = 2;
export const MAX_TOP_K = 200;
export const MAX_REPEAT_PENALTY = 2;
/** What llama.cpp takes: an unsigned 32-bit integer, of which the last one means "any". */
export const MAX_SEED = 0xff_ff_ff_fe;
/** More than any context that fits into a tab today: the limit is there for typing errors. */
export const MAX_ANSWER_TOKENS = 131_072;

/** llama-server's, but for a lower temperature than its 0.8, and a limit to the length, because small models ramble. */
export const DEFAULT_SETTINGS: Settings = {
  systemPrompt: '',
  temperature: 0.2,
  topP: 0.95,
  topK: 40,
  minP: 0.05,
  repeatPenalty: 1,
  seed: null,
  maxTokens: 1024,
  format: 'text',
  schema: '',
  tools: '',
  toolChoice: 'auto',
  model: null,
};

/** For each site of the origin its own: a model of one is unknown to another. */
const keyOf = (page: string) => `llamatab:settings:${new URL('./', page).pathname}`;

/** Whether a stored value may be taken, field by field. */
const VALID: { [Field in keyof Settings]: (value: unknown) => boolean } = {
  systemPrompt: isText,
  temperature: isNumber(0, MAX_TEMPERATURE),
  topP: isNumber(0, 1),
  topK: isInteger(0, MAX_TOP_K),
  minP: isNumber(0, 1),
  repeatPenalty: isNumber(1, MAX_REPEAT_PENALTY),
  seed: (value) => value === null || isInteger(0, MAX_SEED)(value),
  maxTokens: isInteger(1, MAX_ANSWER_TOKENS),
  format: isOneOf('text', 'json', 'schema'),
  schema: isText,
  tools: isText,
  toolChoice: isOneOf('auto', 'required', 'none'),
  model: (value) => value === null || isText(value),
};

/** Reads stored settings. Whatever is missing, of another type or out of range gets its default. */
export function parseSettings(text: string | null): Settings {
  let stored: Record<string, unknown> = {};
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    if (typeof value === 'object' && value !== null) stored = value as Record<string, unknown>;
  } catch {
    // Damaged, or written by another program: the defaults apply.
  }
  const valid = Object.entries(VALID).filter(([field, isValid]) => isValid(stored[field]));
  return { ...DEFAULT_SETTINGS, ...Object.fromEntries(valid.map(([field]) => [field, stored[field]])) };
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isNumber(min: number, max: number) {
  return (value: unknown) => typeof value === 'number' && value >= min && value <= max;
}

function isInteger(min: number, max: number) {
  return (value: unknown) => Number.isInteger(value) && isNumber(min, max)(value);
}

function isOneOf(...names: string[]) {
  return (value: unknown) => names.includes(value as string);
}

export function loadSettings(): Settings {
  try {
    return parseSettings(localStorage.getItem(keyOf(document.baseURI)));
  } catch {
    // Storage is blocked in this browser, so settings last as long as the page.
    return DEFAULT_SETTINGS;
  }
}

export function saveSettings(settings: Settings): void {
  try {
    localStorage.setItem(keyOf(document.baseURI), JSON.stringify(settings));
  } catch {
    // Blocked, as above, or full.
  }
}
