import type { JSX, TargetedKeyboardEvent, TargetedSubmitEvent } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { CloseIcon, PictureIcon, SendIcon, StopIcon } from '../parts/icons.tsx';
import { picturesOf, toDataUrl } from './pictures.ts';
import './composer.css';

export interface Draft {
  text: string;
  /** Data URLs. */
  pictures: readonly string[];
}

export const NO_DRAFT: Draft = { text: '', pictures: [] };

interface Props {
  /** Id of the chat; undefined for a new one. */
  chat: string | undefined;
  draft: Draft;
  onDraft: (draft: Draft) => void;
  generating: boolean;
  /** Whether the model takes pictures. */
  sees: boolean;
  onSend: (draft: Draft) => void;
  onStop: () => void;
}

export function Composer({ chat, draft, onDraft, generating, sees, onSend, onStop }: Props): JSX.Element {
  const field = useRef<HTMLTextAreaElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState('');
  const { text, pictures } = draft;

  // When the page opens, and when the button that had the focus is gone. Not on phones, where the keyboard would open.
  useEffect(() => {
    if (document.activeElement === document.body && matchMedia('(pointer: fine)').matches) field.current?.focus();
  }, [chat, generating]);

  // The style sheet caps the height; from there on the text scrolls.
  useLayoutEffect(() => {
    if (!field.current) return;
    field.current.style.height = 'auto';
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, [text]);

  const attach = async (chosen: readonly File[]) => {
    setProblem('');
    try {
      const added = await Promise.all(chosen.map(toDataUrl));
      onDraft({ text, pictures: [...pictures, ...added] });
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const attachFrom = (event: Event, data: DataTransfer | null) => {
    const found = sees ? picturesOf(data) : [];
    if (found.length === 0) return;
    event.preventDefault();
    void attach(found);
  };

  const nothing = text.trim() === '' && pictures.length === 0;
  const send = () => {
    if (generating || nothing) return;
    onSend({ text: text.trim(), pictures });
    onDraft(NO_DRAFT);
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
    <form
      class="composer"
      aria-label="Message"
      onSubmit={submit}
      onDragOver={(event) => sees && event.preventDefault()}
      onDrop={(event) => attachFrom(event, event.dataTransfer)}
    >
      {problem !== '' && (
        <p class="outcome" data-bad="true" role="alert">
          {problem}
        </p>
      )}
      {pictures.length > 0 && (
        <ul class="attached">
          {pictures.map((url, index) => (
            <li key={index}>
              <img src={url} alt={`Attachment ${index + 1}`} />
              <button
                type="button"
                class="icon-button small"
                aria-label={`Remove picture ${index + 1}`}
                onClick={() => onDraft({ text, pictures: pictures.filter((_, at) => at !== index) })}
              >
                <CloseIcon />
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="composer-row">
        {sees && (
          <>
            <input
              ref={files}
              type="file"
              accept="image/*"
              multiple
              hidden
              data-testid="attach"
              onChange={({ currentTarget }) => {
                void attach([...(currentTarget.files ?? [])]);
                currentTarget.value = '';
              }}
            />
            <button
              type="button"
              class="icon-button attach"
              aria-label="Attach a picture"
              title="Attach a picture"
              onClick={() => files.current?.click()}
            >
              <PictureIcon />
            </button>
          </>
        )}
        <textarea
          ref={field}
          rows={1}
          value={text}
          placeholder="Ask anything"
          aria-label="Your message"
          enterkeyhint="send"
          onInput={(event) => onDraft({ text: event.currentTarget.value, pictures })}
          onPaste={(event) => attachFrom(event, event.clipboardData)}
          onKeyDown={keyDown}
        />
        {generating ? (
          <button type="button" class="send" aria-label="Stop" title="Stop (Esc)" onClick={onStop}>
            <StopIcon />
          </button>
        ) : (
          <button type="submit" class="send" aria-label="Send" title="Send (Enter)" disabled={nothing}>
            <SendIcon />
          </button>
        )}
      </div>
    </form>
  );
}
