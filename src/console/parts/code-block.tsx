import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { CopyButton } from './copy-button.tsx';
import { highlight } from './highlight.ts';
import './code-block.css';

export function CodeBlock({ code, language }: { code: string; language: string }): JSX.Element {
  const spans = useMemo(() => highlight(code, language), [code, language]);
  return (
    <div class="code">
      <div class="code-bar">
        <span>{language}</span>
        <CopyButton text={code} label="Copy code" />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>
        <code>
          {spans.map(({ text, class: name }, index) =>
            name === '' ? (
              text
            ) : (
              <span key={index} class={name}>
                {text}
              </span>
            ),
          )}
        </code>
      </pre>
    </div>
  );
}
