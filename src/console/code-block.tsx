import type { JSX } from 'preact';
import { CopyButton } from './copy-button.tsx';
import './code-block.css';

export function CodeBlock({ code, language }: { code: string; language: string }): JSX.Element {
  return (
    <div class="code">
      <div class="code-bar">
        <span>{language}</span>
        <CopyButton text={code} label="Copy code" />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>
        <code>{code}</code>
      </pre>
    </div>
  );
}
