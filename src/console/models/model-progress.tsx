import type { JSX } from 'preact';
import { Failure } from '../parts/failure.tsx';
import type { ModelState } from '../status.ts';
import './progress.css';

interface Props {
  state: ModelState;
  name: string;
  onRetry: () => void;
}

/** What the model is doing until it is ready, or what went wrong. */
export function ModelProgress({ state, name, onRetry }: Props): JSX.Element | null {
  if (state.kind === 'ready' || state.kind === 'idle') return null;
  if (state.kind === 'failed') {
    const { title = state.label, detail = '' } = state;
    return <Failure title={title} detail={detail} action={{ label: 'Try again', run: onRetry }} />;
  }
  const title = {
    starting: 'Starting…',
    preparing: `Preparing ${name}…`,
    downloading: `Downloading ${name}`,
    loading: 'Loading into memory…',
  }[state.kind];
  return (
    <div class="progress" data-testid="model-progress">
      <p>
        <strong>{title}</strong>
        {state.detail && <span class="numbers">{state.detail}</span>}
      </p>
      {/* Without a value the bar shows that work is under way, while it isn't known how much is left. */}
      <progress aria-label={title} max={100} {...(state.percent === undefined ? {} : { value: state.percent })} />
    </div>
  );
}
