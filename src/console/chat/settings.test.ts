import { expect, it } from 'vitest';
import { DEFAULT_SETTINGS, loadSettings, parseSettings, type Settings, saveSettings } from './settings.ts';

it('reads what it wrote', () => {
  const settings: Settings = {
    systemPrompt: 'Be brief.',
    temperature: 0,
    topP: 1,
    topK: 0,
    minP: 0,
    repeatPenalty: 1.5,
    seed: 0,
    maxTokens: 1,
    format: 'schema',
    schema: '{}',
    tools: '[]',
    toolChoice: 'none',
    model: 'x',
  };
  expect(parseSettings(JSON.stringify(settings))).toEqual(settings);
});

it('falls back field by field', () => {
  expect(
    parseSettings('{"systemPrompt":5,"temperature":3,"maxTokens":0.5,"model":[],"seed":-1,"format":"xml","topK":1.5}'),
  ).toEqual(DEFAULT_SETTINGS);
  expect(parseSettings('{"temperature":1.5,"maxTokens":null}')).toEqual({ ...DEFAULT_SETTINGS, temperature: 1.5 });
  for (const text of [null, '', '{', 'null', '7']) expect(parseSettings(text)).toEqual(DEFAULT_SETTINGS);
});

it('does without storage', () => {
  expect(loadSettings()).toEqual(DEFAULT_SETTINGS);
  expect(() => saveSettings(DEFAULT_SETTINGS)).not.toThrow();
});
