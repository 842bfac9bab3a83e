import type { JSX } from 'preact';
import { Words } from './words.tsx';
import './failure.css';

interface Props {
  title: string;
  detail: string;
  /** A button for what to do next. */
  action?: { label: string; run: () => void } | undefined;
}

export function Failure({ title, detail, action }: Props): JSX.Element {
  return (
    <div class="failure" role="alert">
      <p>
        <strong>{title}</strong>
        <small>
          <Words text={detail} />
        </small>
      </p>
      {action && (
        <button type="button" class="button" onClick={action.run}>
          {action.label}
        </button>
      )}
    </div>
  );
}
