import type { JSX } from 'preact';
import type { ModelStatus } from '../../index.ts';
import { shortName } from '../status.ts';
import './welcome.css';

/** Tasks that a model of a hundred million parameters does well. */
const SUGGESTIONS = ['What is a service worker?', 'Write a poem about a llama', 'List three uses of WebAssembly'];

interface Props {
  model: ModelStatus | undefined;
  /** Whether the page works offline: without a service worker, it comes from the network. */
  offline: boolean;
  onAsk: (text: string) => void;
}

export function Welcome({ model, offline, onAsk }: Props): JSX.Element {
  return (
    <section class="welcome" aria-labelledby="welcome">
      <h2 id="welcome">llama-server, in a browser tab</h2>
      <p>
        {model ? shortName(model) : 'A language model'} runs right here, on your device. Nothing you type leaves it
        {offline ? ', and after the first visit it works offline.' : '.'}
      </p>
      <ul class="suggestions">
        {SUGGESTIONS.map((text) => (
          <li key={text}>
            <button type="button" class="button" onClick={() => onAsk(text)}>
              {text}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
