import type { JSX } from 'preact';
import { CopyButton } from '../parts/copy-button.tsx';
import { Failure } from '../parts/failure.tsx';
import { formatLatency, formatRate, formatTokens } from '../parts/format.ts';
import { RetryIcon } from '../parts/icons.tsx';
import { Markdown } from '../parts/markdown.tsx';
import type { ModelState } from '../status.ts';
import { Branches } from './branches.tsx';
import type { Answer, AnswerStats, Problem, ToolResult } from './chat.ts';
import { ToolCalls } from './tool-calls.tsx';
import './answer.css';

interface Props {
  answer: Answer;
  /** Ids of the answers in this place, this one among them. */
  places: readonly number[];
  /** What came of its calls, where that is said. */
  results: readonly ToolResult[] | undefined;
  /** Whether another answer may be generated: not while one comes. */
  idle: boolean;
  state: ModelState;
  maxTokens: number;
  onRetry: () => void;
  onResults: (results: readonly ToolResult[]) => void;
  onShow: (id: number) => void;
  onNewChat: () => void;
}

export function AnswerView(props: Props): JSX.Element {
  const { answer, places, results, idle, state, maxTokens, onRetry, onResults, onShow, onNewChat } = props;
  const { text, reasoning, calls, problem } = answer;
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
      {calls.length > 0 && (
        <ToolCalls
          calls={calls}
          results={results}
          onResults={idle && answer.state === 'done' && !answer.cutOff ? onResults : undefined}
        />
      )}
      {problem && <ProblemView problem={problem} onRetry={idle ? onRetry : undefined} onNewChat={onNewChat} />}
      {!growing && answer.cutOff && (
        <p class="note">
          {answer.stats.tokens >= maxTokens
            ? `Cut off after ${formatTokens(answer.stats.tokens)}, the limit in Settings.`
            : "Cut off: this chat fills the model's context. Start a new chat."}
        </p>
      )}
      {/* Below a text that grows, it would move with each line. */}
      {!growing && (
        <footer class="answer-foot">
          <Branches places={places} shown={answer.id} of="Answer" onShow={onShow} />
          {text !== '' && <CopyButton text={text} label="Copy answer" />}
          {idle && !problem && (
            <button
              type="button"
              class="icon-button small"
              aria-label="Answer again"
              title="Answer again: this one stays as a branch"
              onClick={onRetry}
            >
              <RetryIcon />
            </button>
          )}
          {answer.elsewhere !== undefined && (
            <span class="badge" title="This device could not: the site's upstream server answered">
              Answered by {answer.elsewhere}
            </span>
          )}
          {answer.state === 'stopped' && <span class="badge">Stopped</span>}
          <Stats stats={answer.stats} />
        </footer>
      )}
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

function Stats({ stats: { tokens, rate, firstToken } }: { stats: AnswerStats }): JSX.Element | null {
  const parts = [];
  if (rate > 0) parts.push(formatRate(rate));
  if (tokens > 0) parts.push(formatTokens(tokens));
  if (firstToken !== null) parts.push(`first token after ${formatLatency(firstToken)}`);
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
