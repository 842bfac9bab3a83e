import type { ComponentChildren, JSX } from 'preact';
import { useId, useState } from 'preact/hooks';
import type { ModelStatus } from '../../index.ts';
import { Panel } from '../parts/panel.tsx';
import { readSchema, readTools, type Typed } from './request.ts';
import {
  DEFAULT_SETTINGS,
  MAX_ANSWER_TOKENS,
  MAX_REPEAT_PENALTY,
  MAX_SEED,
  MAX_TEMPERATURE,
  MAX_TOP_K,
  type Settings,
} from './settings.ts';
import '../parts/fields.css';

interface Props {
  settings: Settings;
  models: readonly ModelStatus[];
  onChange: (settings: Settings) => void;
  onClose: () => void;
}

const SLIDERS = [
  {
    field: 'temperature',
    label: 'Temperature',
    max: MAX_TEMPERATURE,
    step: 0.1,
    hint: 'How daring the choice of each next word is. 0 always takes the likeliest.',
  },
  {
    field: 'topP',
    label: 'Top P',
    max: 1,
    step: 0.01,
    hint: 'Only the likeliest words that together make up this share are drawn from. 1 leaves all in.',
  },
  {
    field: 'topK',
    label: 'Top K',
    max: MAX_TOP_K,
    step: 1,
    hint: 'Only this many of the likeliest words are drawn from. 0 leaves all in.',
  },
  {
    field: 'minP',
    label: 'Min P',
    max: 1,
    step: 0.01,
    hint: 'Words less likely than this share of the likeliest one are left out. 0 leaves all in.',
  },
  {
    field: 'repeatPenalty',
    label: 'Repeat penalty',
    min: 1,
    max: MAX_REPEAT_PENALTY,
    step: 0.05,
    hint: 'Makes words that were just used less likely. 1 is none; too much spoils code and lists.',
  },
] as const;

const EXAMPLE_SCHEMA = `{
  "type": "object",
  "properties": { "city": { "type": "string" }, "people": { "type": "integer" } },
  "required": ["city", "people"]
}`;

const EXAMPLE_TOOLS = `[{
  "type": "function",
  "function": {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] }
  }
}]`;

export function SettingsPanel({ settings, models, onChange, onClose }: Props): JSX.Element {
  const set = (changed: Partial<Settings>) => onChange({ ...settings, ...changed });
  return (
    <Panel title="Settings" onClose={onClose}>
      <div class="fields">
        {models.length > 1 && (
          <label>
            <span>Model</span>
            <select
              value={settings.model ?? models[0]?.id}
              onChange={(event) => set({ model: event.currentTarget.value })}
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
            rows={3}
            value={settings.systemPrompt}
            placeholder="You are a helpful assistant."
            onInput={(event) => set({ systemPrompt: event.currentTarget.value })}
          />
          <small>What the model is told before the conversation begins.</small>
        </label>
        <WholeNumber
          label="Max tokens"
          value={settings.maxTokens}
          min={1}
          max={MAX_ANSWER_TOKENS}
          hint="The most that one answer may have. A token is about three quarters of a word."
          onChange={(maxTokens) => maxTokens !== null && set({ maxTokens })}
        />

        <Group
          title="Sampling"
          hint="How the next word is chosen. The defaults suit small models."
          open={isSampled(settings)}
        >
          {SLIDERS.map(({ field, label, hint, ...range }) => (
            <label key={field}>
              <span>
                {label}{' '}
                <span class="value">{settings[field].toFixed(range.step < 0.1 ? 2 : range.step < 1 ? 1 : 0)}</span>
              </span>
              <input
                type="range"
                min={0}
                {...range}
                value={settings[field]}
                onInput={(event) => set({ [field]: event.currentTarget.valueAsNumber })}
              />
              <small>{hint}</small>
            </label>
          ))}
          <WholeNumber
            label="Seed"
            value={settings.seed}
            min={0}
            max={MAX_SEED}
            placeholder="another one each time"
            hint="With the same seed, the same question gives the same answer on this device."
            onChange={(seed) => set({ seed })}
          />
        </Group>

        <Group
          title="Form of the answer"
          hint="The model can be held to JSON: it then can’t write anything else."
          open={settings.format !== 'text'}
        >
          <fieldset class="choices">
            <legend class="visually-hidden">Form of the answer</legend>
            {(['text', 'json', 'schema'] as const).map((format) => (
              <label key={format}>
                <input
                  type="radio"
                  name="format"
                  checked={settings.format === format}
                  onChange={() => set({ format })}
                />
                {{ text: 'Text', json: 'Any JSON', schema: 'JSON of a schema' }[format]}
              </label>
            ))}
          </fieldset>
          {settings.format === 'schema' && (
            <JsonField
              label="Schema"
              value={settings.schema}
              placeholder={EXAMPLE_SCHEMA}
              read={readSchema(settings.schema)}
              onChange={(schema) => set({ schema })}
            />
          )}
        </Group>

        <Group
          title="Tools"
          hint="Functions that the model may ask for. You say what each call gives: the page runs nothing."
          open={settings.tools.trim() !== ''}
        >
          <JsonField
            label="Functions"
            value={settings.tools}
            placeholder={EXAMPLE_TOOLS}
            read={settings.tools === '' ? undefined : readTools(settings.tools)}
            onChange={(tools) => set({ tools })}
          />
          <label>
            <span>When to call</span>
            <select
              value={settings.toolChoice}
              onChange={(event) => set({ toolChoice: event.currentTarget.value as Settings['toolChoice'] })}
            >
              <option value="auto">When the model wants to</option>
              <option value="required">Always</option>
              <option value="none">Never</option>
            </select>
            <small>Small models, the embedded one too, call only when they must: choose “Always”.</small>
          </label>
        </Group>

        <button type="button" class="button" onClick={() => onChange({ ...DEFAULT_SETTINGS, model: settings.model })}>
          Reset to defaults
        </button>
      </div>
    </Panel>
  );
}

/** Whether a sampling control is not at its default. */
function isSampled(settings: Settings): boolean {
  return settings.seed !== null || SLIDERS.some(({ field }) => settings[field] !== DEFAULT_SETTINGS[field]);
}

interface GroupProps {
  title: string;
  hint: string;
  /** At first. */
  open: boolean;
  children: ComponentChildren;
}

function Group({ title, hint, open, children }: GroupProps): JSX.Element {
  // Not as the settings change, or it would close under the person's hand.
  const [initially] = useState(open);
  return (
    <details class="group" open={initially}>
      <summary>
        <strong>{title}</strong>
        <small>{hint}</small>
      </summary>
      <div class="fields">{children}</div>
    </details>
  );
}

interface WholeNumberProps {
  label: string;
  value: number | null;
  min: number;
  max: number;
  placeholder?: string;
  hint: string;
  /** With what is in range; null for an empty field. */
  onChange: (value: number | null) => void;
}

function WholeNumber({ label, value, min, max, placeholder, hint, onChange }: WholeNumberProps): JSX.Element {
  return (
    <label>
      <span>{label}</span>
      <input
        type="number"
        inputMode="numeric"
        min={min}
        max={max}
        step={1}
        value={value ?? ''}
        placeholder={placeholder}
        required={placeholder === undefined}
        onInput={({ currentTarget: field }) => {
          if (field.validity.valid) onChange(field.value === '' ? null : field.valueAsNumber);
        }}
      />
      <small>{hint}</small>
    </label>
  );
}

interface JsonFieldProps {
  label: string;
  value: string;
  placeholder: string;
  /** What it was read as; undefined where there is nothing to say about it. */
  read: Typed<object> | undefined;
  onChange: (text: string) => void;
}

function JsonField({ label, value, placeholder, read, onChange }: JsonFieldProps): JSX.Element {
  const problem = value.trim() === '' ? undefined : read?.problem;
  const id = useId();
  return (
    <div class="field">
      <span>
        <label for={id}>{label}</label>
        {value.trim() === '' && (
          <button type="button" class="plain" onClick={() => onChange(placeholder)}>
            Take this example
          </button>
        )}
      </span>
      <textarea
        id={id}
        class="json"
        rows={7}
        spellcheck={false}
        value={value}
        placeholder={placeholder}
        aria-invalid={problem !== undefined}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {problem && (
        <small class="bad" role="alert">
          {problem} Until then it is left out.
        </small>
      )}
    </div>
  );
}
