import type { JSX, TargetedKeyboardEvent, TargetedSubmitEvent } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { SendIcon, StopIcon } from './icons.tsx';
import './composer.css';

interface Props {
  /** Whether the chat has no messages yet. */
  empty: boolean;
  draft: string;
  onDraft: (text: string) => void;
  generating: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
}

export function Composer({ empty, draft, onDraft, generating, onSend, onStop }: Props): JSX.Element {
  const field = useRef<HTMLTextAreaElement>(null);

  // When the page opens, and when the button that had the focus is gone. Not on phones, where the keyboard would open.
  useEffect(() => {
    if (document.activeElement === document.body && matchMedia('(pointer: fine)').matches) field.current?.focus();
  }, [empty, generating]);

  // The style sheet caps the height; from there on the text scrolls.
  useLayoutEffect(() => {
    if (!field.current) return;
    field.current.style.height = 'auto';
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, [draft]);

  const send = () => {
    if (generating || draft.trim() === '') return;
    onSend(draft.trim());
    onDraft('');
  };
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    send();
  };
  const keyDown = (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => {
    if (event.key === 'Escape' && generating) onStop();
    // Enter also accepts an input method's suggestion. Safari ends the composition first, and only code 229 shows it:
    // https://bugs.webkit.org/show_bug.cgi?id=165004
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    send();
  };

  return (
    <form class="composer" aria-label="Message" onSubmit={submit}>
      <textarea
        ref={field}
        rows={1}
        value={draft}
        placeholder="Ask anything"
        aria-label="Your message"
        enterkeyhint="send"
        onInput={(event) => onDraft(event.currentTarget.value)}
        onKeyDown={keyDown}
      />
      {generating ? (
        <button type="button" class="send" aria-label="Stop" title="Stop (Esc)" onClick={onStop}>
          <StopIcon />
        </button>
      ) : (
        <button type="submit" class="send" aria-label="Send" title="Send (Enter)" disabled={draft.trim() === ''}>
          <SendIcon />
        </button>
      )}
    </form>
  );
}
