import { expect, it } from 'vitest';
import { DEFAULT_SETTINGS, loadSettings, parseSettings, saveSettings } from './settings.ts';

it('reads what it wrote', () => {
  const settings = { systemPrompt: 'Be brief.', temperature: 0, maxTokens: 1, model: 'x' };
  expect(parseSettings(JSON.stringify(settings))).toEqual(settings);
});

it('falls back field by field', () => {
  expect(parseSettings('{"systemPrompt":5,"temperature":3,"maxTokens":0,"model":[]}')).toEqual(DEFAULT_SETTINGS);
  expect(parseSettings('{"temperature":1.5,"maxTokens":null}')).toEqual({ ...DEFAULT_SETTINGS, temperature: 1.5 });
  for (const text of [null, '', '{', 'null', '7']) expect(parseSettings(text)).toEqual(DEFAULT_SETTINGS);
});

it('does without storage', () => {
  expect(loadSettings()).toEqual(DEFAULT_SETTINGS);
  expect(() => saveSettings(DEFAULT_SETTINGS)).not.toThrow();
});
