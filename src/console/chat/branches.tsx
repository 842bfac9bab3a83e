import type { JSX } from 'preact';
import { NextIcon, PreviousIcon } from '../parts/icons.tsx';
import './branches.css';

interface Props {
  /** Ids of the messages in one place. */
  places: readonly number[];
  shown: number;
  /** For the labels: what they are. */
  of: 'Question' | 'Answer';
  onShow: (id: number) => void;
}

/** Which of several questions or answers in one place is shown; nothing where there is but one. */
export function Branches({ places, shown, of, onShow }: Props): JSX.Element | null {
  if (places.length < 2) return null;
  const at = places.indexOf(shown);
  const step = (by: number, label: string, icon: JSX.Element) => {
    const to = places[at + by];
    return (
      <button
        type="button"
        class="icon-button small"
        aria-label={label}
        title={label}
        disabled={to === undefined}
        onClick={() => to !== undefined && onShow(to)}
      >
        {icon}
      </button>
    );
  };
  return (
    <fieldset class="branches" aria-label={`${of} ${at + 1} of ${places.length}`}>
      {step(-1, `Previous ${of.toLowerCase()}`, <PreviousIcon />)}
      <span data-testid="branch">
        {at + 1} / {places.length}
      </span>
      {step(1, `Next ${of.toLowerCase()}`, <NextIcon />)}
    </fieldset>
  );
}
