/** The person's settings, kept in localStorage. */

export interface Settings {
  systemPrompt: string;
  /** 0 to 2. */
  temperature: number;
  /** Most tokens of one answer, 1 or more. */
  maxTokens: number;
  /** Id of the model to chat with; null for the site's default. */
  model: string | null;
}

export const MAX_TEMPERATURE = 2;
/** More than any context that fits into a tab today: the limit is there for typing errors. */
export const MAX_ANSWER_TOKENS = 131_072;

/** A lower temperature than llama-server's 0.8, and a limit to the length, because small models ramble. */
export const DEFAULT_SETTINGS: Settings = { systemPrompt: '', temperature: 0.2, maxTokens: 1024, model: null };

/** For each site of the origin its own: a model of one is unknown to another. */
const keyOf = (page: string) => `llamatab:settings:${new URL('./', page).pathname}`;

/** Reads stored settings. Whatever is missing, of another type or out of range gets its default. */
export function parseSettings(text: string | null): Settings {
  let stored: Record<string, unknown> = {};
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    if (typeof value === 'object' && value !== null) stored = value as Record<string, unknown>;
  } catch {
    // Damaged, or written by another program: the defaults apply.
  }
  const { systemPrompt, temperature, maxTokens, model } = stored;
  return {
    systemPrompt: typeof systemPrompt === 'string' ? systemPrompt : DEFAULT_SETTINGS.systemPrompt,
    temperature: isNumber(temperature, 0, MAX_TEMPERATURE) ? temperature : DEFAULT_SETTINGS.temperature,
    maxTokens: isNumber(maxTokens, 1, MAX_ANSWER_TOKENS) ? Math.floor(maxTokens) : DEFAULT_SETTINGS.maxTokens,
    model: typeof model === 'string' ? model : DEFAULT_SETTINGS.model,
  };
}

function isNumber(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && value >= min && value <= max;
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
