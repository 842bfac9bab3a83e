import type { JSX } from 'preact';

/** A sentence of ours, or of the server's, with its `code` set as code. */
export function Words({ text }: { text: string }): JSX.Element {
  return <>{text.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}
