import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { CopyButton } from '../parts/copy-button.tsx';
import { RenameIcon } from '../parts/icons.tsx';
import { Branches } from './branches.tsx';
import type { Question } from './chat.ts';
import './question.css';

interface Props {
  question: Question;
  /** Ids of the questions in this place, this one among them. */
  places: readonly number[];
  /** Whether it may be edited: not while an answer comes. */
  editable: boolean;
  onEdit: (text: string) => void;
  onShow: (id: number) => void;
}

export function QuestionView({ question, places, editable, onEdit, onShow }: Props): JSX.Element {
  const [editing, setEditing] = useState(false);
  const send = (text: string) => {
    setEditing(false);
    if (text.trim() !== '') onEdit(text.trim());
  };
  return (
    <article class="question-area" aria-label="You">
      {editing ? (
        <Editor text={question.text} onSend={send} onCancel={() => setEditing(false)} />
      ) : (
        <>
          {question.pictures.length > 0 && (
            <div class="pictures">
              {question.pictures.map((url, index) => (
                <img key={index} src={url} alt={`Attachment ${index + 1}`} />
              ))}
            </div>
          )}
          <div class="question" data-testid="question">
            {question.text}
          </div>
          <div class="question-foot">
            <Branches places={places} shown={question.id} of="Question" onShow={onShow} />
            <span class="question-actions">
              <CopyButton text={question.text} label="Copy question" />
              <button
                type="button"
                class="icon-button small"
                aria-label="Edit question"
                title="Edit: the old one stays as a branch"
                disabled={!editable}
                onClick={() => setEditing(true)}
              >
                <RenameIcon />
              </button>
            </span>
          </div>
        </>
      )}
    </article>
  );
}

interface EditorProps {
  text: string;
  onSend: (text: string) => void;
  onCancel: () => void;
}

function Editor({ text, onSend, onCancel }: EditorProps): JSX.Element {
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <form
      class="question-editor"
      onSubmit={(event) => {
        event.preventDefault();
        onSend(field.current?.value ?? '');
      }}
    >
      <textarea
        ref={field}
        aria-label="Edited question"
        rows={Math.min(10, text.split('\n').length + 1)}
        defaultValue={text}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onCancel();
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
          event.preventDefault();
          onSend(event.currentTarget.value);
        }}
      />
      <span class="actions">
        <button type="submit" class="button primary">
          Ask
        </button>
        <button type="button" class="button" onClick={onCancel}>
          Cancel
        </button>
      </span>
    </form>
  );
}
