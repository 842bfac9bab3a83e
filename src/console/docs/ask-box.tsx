import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Failure } from '../parts/failure.tsx';
import { SendIcon } from '../parts/icons.tsx';
import { Markdown } from '../parts/markdown.tsx';
import { excerptOf, type Page } from './pages.ts';
import { type Asked, useAsk } from './use-ask.ts';
import './ask-box.css';

const EXAMPLES = ['How do I use threads?', 'Why is my first answer slow?', 'Can I use my own model?'];

/** A question to the documentation, answered on this device. */
export function AskBox({ pages }: { pages: readonly Page[] }): JSX.Element {
  const { asked, ask } = useAsk(pages);
  const [question, setQuestion] = useState('');
  const send = (text: string) => {
    setQuestion(text);
    if (text.trim() !== '') ask(text.trim());
  };
  return (
    <section class="ask" aria-label="A question to the documentation">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send(question);
        }}
      >
        <input
          type="search"
          aria-label="Ask the docs"
          placeholder="Ask the docs, on your device"
          value={question}
          onInput={(event) => setQuestion(event.currentTarget.value)}
        />
        <button type="submit" class="send" aria-label="Ask" title="Ask (Enter)" disabled={question.trim() === ''}>
          <SendIcon />
        </button>
      </form>
      {asked ? (
        <AskedView asked={asked} />
      ) : (
        <p class="examples">
          {EXAMPLES.map((text) => (
            <button key={text} type="button" class="plain" onClick={() => send(text)}>
              {text}
            </button>
          ))}
        </p>
      )}
    </section>
  );
}

function AskedView({ asked }: { asked: Asked }): JSX.Element {
  const { state, doing, sources, answer, model, problem } = asked;
  const busy = state === 'preparing' || state === 'reading';
  return (
    <div class="asked" data-testid="docs-answer" data-state={state} aria-live="polite" aria-busy={state !== 'done'}>
      {sources.length > 0 && (
        <>
          <h2>Where it says so</h2>
          <ol class="sources">
            {sources.map(({ piece }) => (
              <li key={`${piece.page}/${piece.slug}`}>
                <a href={piece.slug === '' ? `#${piece.page}` : `#${piece.page}/${piece.slug}`}>{piece.title}</a>
                <small>{excerptOf(piece)}</small>
              </li>
            ))}
          </ol>
        </>
      )}
      {busy && <p class="doing">{doing}</p>}
      {answer !== '' && (
        <>
          <h2>In short</h2>
          <Markdown text={answer} unfinished={state !== 'done'} />
          <p class="note">
            Written by {model}, on this device, from the sections above. So small a model is often wrong: what counts is
            what they say.
          </p>
        </>
      )}
      {problem && <Failure title="The question could not be answered." detail={problem} />}
    </div>
  );
}
