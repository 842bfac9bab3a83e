/** What tests saw of an engine, beside that they passed: it goes into the support table. */
import { test } from '@playwright/test';

export interface SupportNotes {
  /** As the browser tells it. */
  version: string;
  runtime: { threads: number; variant: string; compat: boolean };
  /** Tokens a second of the embedded model: reading a prompt, and writing. */
  speed: { prompt: number; predicted: number };
}

const TYPE = 'support';

export function note(notes: Partial<SupportNotes>): void {
  test.info().annotations.push({ type: TYPE, description: JSON.stringify(notes) });
}

export function readNotes(annotations: readonly { type: string; description?: string }[]): Partial<SupportNotes> {
  const texts = annotations.flatMap(({ type, description }) => (type === TYPE && description ? [description] : []));
  return Object.assign({}, ...texts.map((text) => JSON.parse(text)));
}
