import type { JSX } from 'preact';
import type { Answer, Problem } from './chat.ts';
import { CopyButton } from './copy-button.tsx';
import { Failure } from './failure.tsx';
import { formatLatency, formatRate, formatTokens } from './format.ts';
import { RetryIcon } from './icons.tsx';
import { Markdown } from './markdown.tsx';
import type { ModelState } from './status.ts';
import './answer.css';

interface Props {
  answer: Answer;
  /** Only the last answer can be generated again. */
  last: boolean;
  state: ModelState;
  maxTokens: number;
  onRetry: () => void;
  onNewChat: () => void;
}

export function AnswerView({ answer, last, state, maxTokens, onRetry, onNewChat }: Props): JSX.Element {
  const { text, reasoning, problem } = answer;
  const growing = answer.state === 'waiting' || answer.state === 'streaming';
  const unfinished = answer.state !== 'done' || answer.cutOff;
  return (
    <article class="answer" aria-label="Answer" aria-busy={growing} data-testid="answer" data-state={answer.state}>
      {reasoning !== '' && (
        <details class="reasoning">
          <summary>{growing && text === '' ? 'Thinking…' : 'Thoughts'}</summary>
          <Markdown text={reasoning} unfinished={unfinished} />
        </details>
      )}
      {text !== '' && <Markdown text={text} unfinished={unfinished} />}
      {answer.state === 'waiting' && <Waiting state={state} />}
      {problem && <ProblemView problem={problem} onRetry={last ? onRetry : undefined} onNewChat={onNewChat} />}
      {!growing && answer.cutOff && (
        <p class="note">
          {answer.stats.tokens >= maxTokens
            ? `Cut off after ${formatTokens(answer.stats.tokens)}, the limit in Settings.`
            : "Cut off: this chat fills the model's context. Start a new chat."}
        </p>
      )}
      <footer class="answer-foot">
        {!growing && text !== '' && <CopyButton text={text} label="Copy answer" />}
        {!growing && last && !problem && (
          <button
            type="button"
            class="icon-button small"
            aria-label="Answer again"
            title="Answer again"
            onClick={onRetry}
          >
            <RetryIcon />
          </button>
        )}
        {answer.state === 'stopped' && <span class="badge">Stopped</span>}
        <Stats answer={answer} growing={growing} />
      </footer>
    </article>
  );
}

function Waiting({ state }: { state: ModelState }): JSX.Element {
  const waits = state.kind !== 'ready' && state.kind !== 'failed';
  const percent = state.percent === undefined ? '' : ` ${state.percent} %`;
  return (
    <p class="waiting">
      <span class="dots">
        <i />
        <i />
        <i />
      </span>
      {waits ? (
        `Waiting for the model: ${state.label.toLowerCase()}${percent}`
      ) : (
        <span class="visually-hidden">Thinking</span>
      )}
    </p>
  );
}

function Stats({ answer, growing }: { answer: Answer; growing: boolean }): JSX.Element | null {
  const { tokens, rate, firstToken } = answer.stats;
  const parts = [];
  if (rate > 0) parts.push(formatRate(rate));
  if (!growing && tokens > 0) parts.push(formatTokens(tokens));
  if (!growing && firstToken !== null) parts.push(`first token after ${formatLatency(firstToken)}`);
  if (parts.length === 0) return null;
  return (
    <span class="stats" data-testid="rate">
      {parts.join(' · ')}
    </span>
  );
}

interface ProblemProps {
  problem: Problem;
  onRetry: (() => void) | undefined;
  onNewChat: () => void;
}

function ProblemView({ problem, onRetry, onNewChat }: ProblemProps): JSX.Element {
  if (problem.type === 'exceed_context_size_error') {
    return (
      <Failure
        title="This chat is longer than the model's context: start a new chat."
        detail={problem.message}
        action={{ label: 'New chat', run: onNewChat }}
      />
    );
  }
  return (
    <Failure title={problem.message} detail={problem.type} action={onRetry && { label: 'Try again', run: onRetry }} />
  );
}
