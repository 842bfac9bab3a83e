/** The state of a chat, and every action that changes it. */
import type { RequestMessage } from './complete.ts';

export interface Question {
  role: 'user';
  id: number;
  text: string;
}

export interface Answer {
  role: 'assistant';
  id: number;
  text: string;
  reasoning: string;
  /** `waiting` until the first token. A `stopped` or `failed` answer keeps its text so far. */
  state: 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed';
  stats: AnswerStats;
  /** With `failed`. */
  problem?: Problem;
  /** Whether a limit ended the answer before the model did. */
  cutOff: boolean;
}

export interface AnswerStats {
  /** Tokens, as the page counts them while streaming, and as the server reports them at the end. */
  tokens: number;
  /** Tokens a second; 0 if not known. */
  rate: number;
  /** Milliseconds from sending to the first token; null if the request had to wait for the model to load. */
  firstToken: number | null;
}

export interface Problem {
  /** llama-server's error type, or the page's own. */
  type: string;
  message: string;
}

export type Message = Question | Answer;
export type Chat = readonly Message[];

export type ChatAction =
  /** A question, and a new answer to it. */
  | { type: 'ask'; id: number; text: string }
  /** A new answer in place of the last one. */
  | { type: 'retry'; id: number }
  /** More of an answer. */
  | { type: 'add'; id: number; text: string; reasoning: string; stats: AnswerStats }
  | { type: 'done'; id: number; stats: AnswerStats; cutOff: boolean }
  | { type: 'stopped'; id: number }
  | { type: 'failed'; id: number; problem: Problem }
  | { type: 'clear' };

export function reduceChat(chat: Chat, action: ChatAction): Chat {
  switch (action.type) {
    case 'ask':
      return [...chat, { role: 'user', id: action.id, text: action.text }, newAnswer(action.id + 1)];
    case 'retry':
      return chat.at(-1)?.role === 'assistant' ? [...chat.slice(0, -1), newAnswer(action.id)] : chat;
    case 'add':
      return updateLast(chat, action.id, (answer) => ({
        ...answer,
        state: 'streaming',
        text: answer.text + action.text,
        reasoning: answer.reasoning + action.reasoning,
        stats: action.stats,
      }));
    case 'done':
      return updateLast(chat, action.id, (answer) => ({
        ...answer,
        state: 'done',
        stats: action.stats,
        cutOff: action.cutOff,
      }));
    case 'stopped':
      return updateLast(chat, action.id, (answer) => ({ ...answer, state: 'stopped' }));
    case 'failed':
      return updateLast(chat, action.id, (answer) => ({ ...answer, state: 'failed', problem: action.problem }));
    case 'clear':
      return [];
  }
}

function newAnswer(id: number): Answer {
  return {
    role: 'assistant',
    id,
    text: '',
    reasoning: '',
    state: 'waiting',
    stats: { tokens: 0, rate: 0, firstToken: null },
    cutOff: false,
  };
}

/** Only the last answer can change: anything that arrives late, for one that was retried or cleared, is dropped. */
function updateLast(chat: Chat, id: number, update: (answer: Answer) => Answer): Chat {
  const last = chat.at(-1);
  return last?.role === 'assistant' && last.id === id ? [...chat.slice(0, -1), update(last)] : chat;
}

export function isGenerating(chat: Chat): boolean {
  const last = chat.at(-1);
  return last?.role === 'assistant' && (last.state === 'waiting' || last.state === 'streaming');
}

/**
 * The messages to send: the system prompt, every question that has an answer, and the last question. Questions without an answer
 * are left out, because many chat templates insist that user and assistant take turns.
 */
export function toRequestMessages(chat: Chat, systemPrompt: string): RequestMessage[] {
  const messages: RequestMessage[] = [];
  if (systemPrompt.trim() !== '') messages.push({ role: 'system', content: systemPrompt });
  chat.forEach((message, index) => {
    if (message.role !== 'user') return;
    const answer = chat[index + 1];
    const isLast = index >= chat.length - 2;
    if (isLast) messages.push({ role: 'user', content: message.text });
    else if (answer?.role === 'assistant' && answer.text !== '') {
      messages.push({ role: 'user', content: message.text }, { role: 'assistant', content: answer.text });
    }
  });
  return messages;
}
