import type { JSX } from 'preact';

/** A sentence in which `code` between backquotes is set as code. */
export function Words({ text }: { text: string }): JSX.Element {
  return <>{text.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}
