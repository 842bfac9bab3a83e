import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { formatRate } from '../parts/format.ts';
import { DownIcon } from '../parts/icons.tsx';
import type { ModelState } from '../status.ts';
import { AnswerView } from './answer.tsx';
import { alternatives, type Chat, isGenerating, shownMessages } from './chat.ts';
import { QuestionView } from './question.tsx';
import type { Chats } from './use-chats.ts';
import './conversation.css';

interface Props {
  chat: Chat;
  chats: Chats;
  state: ModelState;
  maxTokens: number;
  onNewChat: () => void;
}

/** Pixels from the end that still count as the end, since zoom makes scroll positions fractional. */
const NEAR = 32;

export function Conversation({ chat, chats, state, maxTokens, onNewChat }: Props): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  /** Whether the reader is at the end, and so should stay there as the text grows. */
  const following = useRef(true);
  const [atEnd, setAtEnd] = useState(true);

  const messages = shownMessages(chat);
  const idle = !isGenerating(chat);
  const last = messages.at(-1);
  const rate = last?.role === 'assistant' && last.state === 'streaming' ? last.stats.rate : 0;

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
  useLayoutEffect(follow, [chat.id, chat.messages.length]);
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
          {messages.map((message, index) => {
            const places = alternatives(chat, message);
            if (message.role === 'user') {
              return (
                <QuestionView
                  key={message.id}
                  question={message}
                  places={places}
                  editable={idle}
                  onEdit={(text) => chats.askInstead(message.id, text)}
                  onShow={chats.show}
                />
              );
            }
            // They are shown with the calls that they are of.
            if (message.role === 'tool') return null;
            const next = messages[index + 1];
            return (
              <AnswerView
                key={message.id}
                answer={message}
                places={places}
                results={next?.role === 'tool' ? next.results : undefined}
                idle={idle}
                state={state}
                maxTokens={maxTokens}
                onRetry={() => chats.retry(message.id)}
                onResults={(results) => chats.giveResults(message.id, results)}
                onShow={chats.show}
                onNewChat={onNewChat}
              />
            );
          })}
        </div>
      </section>
      {rate > 0 && <span class="live-rate">{formatRate(rate)}</span>}
      {!atEnd && (
        <button type="button" class="to-end" aria-label="Scroll to the end" title="Scroll to the end" onClick={follow}>
          <DownIcon />
        </button>
      )}
    </div>
  );
}
