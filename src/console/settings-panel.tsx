import type { JSX } from 'preact';
import type { ModelStatus } from '../index.ts';
import { Panel } from './panel.tsx';
import { DEFAULT_SETTINGS, MAX_ANSWER_TOKENS, MAX_TEMPERATURE, type Settings } from './settings.ts';
import './fields.css';

interface Props {
  settings: Settings;
  models: readonly ModelStatus[];
  onChange: (settings: Settings) => void;
  onClose: () => void;
}

export function SettingsPanel({ settings, models, onChange, onClose }: Props): JSX.Element {
  const { systemPrompt, temperature, maxTokens, model } = settings;
  const setMaxTokens = (field: HTMLInputElement) => {
    if (field.validity.valid && field.value !== '') onChange({ ...settings, maxTokens: field.valueAsNumber });
  };
  return (
    <Panel title="Settings" onClose={onClose}>
      <div class="fields">
        {models.length > 1 && (
          <label>
            <span>Model</span>
            <select
              value={model ?? models[0]?.id}
              onChange={(event) => onChange({ ...settings, model: event.currentTarget.value })}
            >
              {models.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
        <label>
          <span>System prompt</span>
          <textarea
            rows={4}
            value={systemPrompt}
            placeholder="You are a helpful assistant."
            onInput={(event) => onChange({ ...settings, systemPrompt: event.currentTarget.value })}
          />
        </label>
        <label>
          <span>
            Temperature <span class="value">{temperature.toFixed(1)}</span>
          </span>
          <input
            type="range"
            min={0}
            max={MAX_TEMPERATURE}
            step={0.1}
            value={temperature}
            onInput={(event) => onChange({ ...settings, temperature: event.currentTarget.valueAsNumber })}
          />
          <small>0 is predictable, higher is more varied.</small>
        </label>
        <label>
          <span>Max tokens</span>
          <input
            type="number"
            inputMode="numeric"
            min={1}
            max={MAX_ANSWER_TOKENS}
            step={1}
            value={maxTokens}
            required
            onInput={(event) => setMaxTokens(event.currentTarget)}
          />
          <small>The most that one answer may have.</small>
        </label>
        <button type="button" class="button" onClick={() => onChange({ ...DEFAULT_SETTINGS, model })}>
          Reset to defaults
        </button>
      </div>
    </Panel>
  );
}
