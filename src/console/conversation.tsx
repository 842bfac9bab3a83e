import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { AnswerView } from './answer.tsx';
import type { Chat } from './chat.ts';
import { DownIcon } from './icons.tsx';
import type { Settings } from './settings.ts';
import type { ModelState } from './status.ts';
import './conversation.css';

interface Props {
  chat: Chat;
  state: ModelState;
  settings: Settings;
  onRetry: () => void;
  onNewChat: () => void;
}

/** Pixels from the end that still count as the end, since zoom makes scroll positions fractional. */
const NEAR = 32;

export function Conversation({ chat, state, settings, onRetry, onNewChat }: Props): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  /** Whether the reader is at the end, and so should stay there as the text grows. */
  const following = useRef(true);
  const [atEnd, setAtEnd] = useState(true);

  const toEnd = () => {
    if (scroller.current && following.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = scroller.current as HTMLDivElement;
    following.current = scrollHeight - scrollTop - clientHeight < NEAR;
    setAtEnd(following.current);
  };
  const follow = () => {
    following.current = true;
    toEnd();
  };

  useLayoutEffect(toEnd);
  // A new question is scrolled to, wherever the reader was.
  useLayoutEffect(follow, [chat.length]);
  // For when the message field grows, or a phone's keyboard opens.
  useEffect(() => {
    const observer = new ResizeObserver(toEnd);
    if (scroller.current) observer.observe(scroller.current);
    return () => observer.disconnect();
  }, []);

  return (
    <div class="scroll-area">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="scroller" ref={scroller} onScroll={onScroll} aria-label="Conversation" tabIndex={0}>
        <div class="messages">
          {chat.map((message, index) =>
            message.role === 'user' ? (
              <article key={message.id} class="question" aria-label="You" data-testid="question">
                {message.text}
              </article>
            ) : (
              <AnswerView
                key={message.id}
                answer={message}
                last={index === chat.length - 1}
                state={state}
                maxTokens={settings.maxTokens}
                onRetry={onRetry}
                onNewChat={onNewChat}
              />
            ),
          )}
        </div>
      </section>
      {!atEnd && (
        <button type="button" class="to-end" aria-label="Scroll to the end" title="Scroll to the end" onClick={follow}>
          <DownIcon />
        </button>
      )}
    </div>
  );
}
