import type { JSX } from 'preact';
import type { ModelStatus, ServerStatus } from '../index.ts';
import { Panel } from './parts/panel.tsx';
import { Words } from './parts/words.tsx';
import { listFacts } from './status.ts';
import './runtime-panel.css';

interface Props {
  status: ServerStatus | undefined;
  model: ModelStatus | undefined;
  onClose: () => void;
}

export function RuntimePanel({ status, model, onClose }: Props): JSX.Element {
  return (
    <Panel title="What runs where" onClose={onClose}>
      {status ? (
        <dl class="facts">
          {listFacts(status, model).map(({ term, value, hint }) => (
            <div key={term}>
              <dt>
                <Words text={term} />
              </dt>
              <dd>
                {value}
                {hint && (
                  <small>
                    <Words text={hint} />
                  </small>
                )}
              </dd>
            </div>
          ))}
        </dl>
      ) : (
        <p>llamatab is starting…</p>
      )}
    </Panel>
  );
}
