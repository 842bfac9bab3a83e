import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { CodeBlock } from '../parts/code-block.tsx';
import type { ToolCall, ToolResult } from './chat.ts';
import './tool-calls.css';

interface Props {
  calls: readonly ToolCall[];
  /** What came of them, once that is said. */
  results: readonly ToolResult[] | undefined;
  /** Takes what the person says came of them; undefined where an answer can't follow. */
  onResults: ((results: readonly ToolResult[]) => void) | undefined;
}

/** The functions that a model wants to have called. The page has none: the person says what each gives. */
export function ToolCalls({ calls, results, onResults }: Props): JSX.Element {
  const [texts, setTexts] = useState<readonly string[]>([]);
  const send = () => onResults?.(calls.map(({ id, name }, index) => ({ call: id, name, text: texts[index] ?? '' })));
  return (
    <div class="tool-calls">
      {calls.map((call, index) => (
        <section key={index} aria-label={`Call of ${call.name}`} data-testid="tool-call">
          <h3>
            Calls <code>{call.name}</code>
          </h3>
          <CodeBlock language="json" code={indented(call.arguments)} />
          {results && (
            <p class="tool-result">
              <span>Result</span> {results[index]?.text}
            </p>
          )}
          {!results && onResults && (
            <label>
              <span>What does it give?</span>
              <textarea
                rows={2}
                placeholder="The result, as text or JSON"
                value={texts[index] ?? ''}
                onInput={({ currentTarget: { value } }) =>
                  setTexts((before) => calls.map((_, at) => (at === index ? value : (before[at] ?? ''))))
                }
              />
            </label>
          )}
        </section>
      ))}
      {!results && onResults && (
        <button type="button" class="button primary" onClick={send}>
          {calls.length === 1 ? 'Give the result' : 'Give the results'}
        </button>
      )}
    </div>
  );
}

/** As far as it has come, it may not be JSON yet. */
function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
