import type { JSX } from 'preact';
import type { ModelStatus } from '../index.ts';
import { shortName } from './status.ts';

export function Welcome({ model }: { model: ModelStatus | undefined }): JSX.Element {
  return (
    <section class="welcome" aria-labelledby="welcome">
      <h2 id="welcome">llama-server, in a browser tab</h2>
      <p>
        {model ? shortName(model) : 'A language model'} runs right here, on your device. Nothing you type leaves it, and
        after the first visit it works offline.
      </p>
    </section>
  );
}
