/**
 * The state of a chat, and every action that changes it. Its messages are a tree: a question that is edited and an answer that is
 * generated again stay beside the new one, as branches. `leaf` is the end of the branch that is shown.
 */
import type { ContentPart, RequestMessage } from './complete.ts';

interface Node {
  /** Counts up from 1 within the chat. */
  id: number;
  /** The message before it; null for a first question. */
  parent: number | null;
}

export interface Question extends Node {
  role: 'user';
  text: string;
  /** Data URLs, for a model that sees. */
  pictures: readonly string[];
}

export interface Answer extends Node {
  role: 'assistant';
  text: string;
  reasoning: string;
  calls: readonly ToolCall[];
  /** `waiting` until the first token. A `stopped` or `failed` answer keeps its text so far. */
  state: 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed';
  stats: AnswerStats;
  /** With `failed`. */
  problem?: Problem;
  /** Whether a limit ended the answer before the model did. */
  cutOff: boolean;
  /** Id of the model that was asked. */
  model: string;
  /** The host of the server that answered, where it was not this device. */
  elsewhere?: string;
}

/** What came of the calls of the answer before it. */
export interface ToolResults extends Node {
  role: 'tool';
  results: readonly ToolResult[];
}

export interface ToolCall {
  id: string;
  name: string;
  /** JSON, as far as it has come. */
  arguments: string;
}

export interface ToolResult {
  call: string;
  name: string;
  text: string;
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

export type Message = Question | Answer | ToolResults;

export interface Chat {
  /** A UUID. */
  id: string;
  title: string;
  /** Milliseconds since 1970. */
  created: number;
  /** When something was last asked. */
  updated: number;
  /** In order of their ids. */
  messages: readonly Message[];
  leaf: number | null;
}

export type ChatAction =
  /** A question after this message (null: as the first one), and a new answer to it. */
  | { type: 'ask'; after: number | null; text: string; pictures: readonly string[]; model: string; now: number }
  /** Another answer to the message that this answer is to. */
  | { type: 'retry'; answer: number; model: string; now: number }
  /** What came of an answer's calls, and a new answer. */
  | { type: 'results'; answer: number; results: readonly ToolResult[]; model: string; now: number }
  /** Shows the branch of this message, as it was last seen. */
  | { type: 'show'; id: number }
  /** More of an answer; `calls` are all that there are so far. */
  | {
      type: 'add';
      id: number;
      text: string;
      reasoning: string;
      calls: readonly ToolCall[];
      stats: AnswerStats;
    }
  | { type: 'elsewhere'; id: number; host: string }
  | { type: 'done'; id: number; stats: AnswerStats; cutOff: boolean }
  | { type: 'stopped'; id: number }
  | { type: 'failed'; id: number; problem: Problem }
  | { type: 'rename'; title: string };

export function newChat(id: string, now: number): Chat {
  return { id, title: '', created: now, updated: now, messages: [], leaf: null };
}

export function reduceChat(chat: Chat, action: ChatAction): Chat {
  switch (action.type) {
    case 'ask': {
      const { after, text, pictures, model, now } = action;
      const question: Question = { role: 'user', id: nextId(chat), parent: after, text, pictures };
      const titled = chat.title === '' ? { ...chat, title: titleOf(text) } : chat;
      return append(titled, now, question, newAnswer(question.id + 1, question.id, model));
    }
    case 'retry': {
      const answer = find(chat, action.answer);
      if (answer?.role !== 'assistant' || answer.parent === null) return chat;
      return append(chat, action.now, newAnswer(nextId(chat), answer.parent, action.model));
    }
    case 'results': {
      const { answer, results, model, now } = action;
      const given: ToolResults = { role: 'tool', id: nextId(chat), parent: answer, results };
      return append(chat, now, given, newAnswer(given.id + 1, given.id, model));
    }
    case 'show':
      return { ...chat, leaf: latestBelow(chat, action.id) };
    case 'add':
      return updateAnswer(chat, action.id, (answer) => ({
        ...answer,
        state: 'streaming',
        text: answer.text + action.text,
        reasoning: answer.reasoning + action.reasoning,
        calls: action.calls,
        stats: action.stats,
      }));
    case 'elsewhere':
      return updateAnswer(chat, action.id, (answer) => ({ ...answer, elsewhere: action.host }));
    case 'done':
      return updateAnswer(chat, action.id, (answer) => ({
        ...answer,
        state: 'done',
        stats: action.stats,
        cutOff: action.cutOff,
      }));
    case 'stopped':
      return updateAnswer(chat, action.id, (answer) => ({ ...answer, state: 'stopped' }));
    case 'failed':
      return updateAnswer(chat, action.id, (answer) => ({ ...answer, state: 'failed', problem: action.problem }));
    case 'rename':
      return action.title.trim() === '' ? chat : { ...chat, title: action.title.trim() };
  }
}

/** The messages of the branch that is shown, first to last. */
export function shownMessages(chat: Chat): Message[] {
  return branchTo(chat, chat.leaf);
}

/** The messages that stand in one place, of which one is shown: it, and the others' ids in the order of their making. */
export function alternatives(chat: Chat, message: Message): number[] {
  return chat.messages.filter(({ parent }) => parent === message.parent).map(({ id }) => id);
}

export function isGenerating(chat: Chat | undefined): boolean {
  return chat?.messages.some(isGrowing) ?? false;
}

/** The id of the answer that an action began. */
export function begunAnswer(chat: Chat): number {
  return chat.messages.at(-1)?.id ?? 0;
}

/** A chat as it was left: what was being generated then is not any more. */
export function asStopped(chat: Chat): Chat {
  if (!isGenerating(chat)) return chat;
  return {
    ...chat,
    messages: chat.messages.map((message) => (isGrowing(message) ? { ...message, state: 'stopped' } : message)),
  };
}

/**
 * The messages to send: the system prompt, every question that has an answer, and the last question. Questions without an answer
 * are left out, because many chat templates insist that user and assistant take turns.
 *
 * @param leaf the answer that is to be generated
 */
export function toRequestMessages(chat: Chat, leaf: number, systemPrompt: string): RequestMessage[] {
  const messages: RequestMessage[] = [];
  if (systemPrompt.trim() !== '') messages.push({ role: 'system', content: systemPrompt });
  const branch = branchTo(chat, leaf);
  branch.forEach((message, index) => {
    const next = branch[index + 1];
    if (message.role === 'user') {
      const unanswered = next?.role === 'assistant' && next.id !== leaf && isEmpty(next);
      if (!unanswered) messages.push({ role: 'user', content: contentOf(message) });
    } else if (message.role === 'tool') {
      for (const { call, text } of message.results) messages.push({ role: 'tool', tool_call_id: call, content: text });
    } else if (message.id !== leaf && !isEmpty(message)) {
      messages.push(toAssistantMessage(message, next?.role === 'tool'));
    }
  });
  return messages;
}

/** @param answered whether the calls' results follow; a call without one is left out, as templates want both */
function toAssistantMessage({ text, calls }: Answer, answered: boolean): RequestMessage {
  if (!answered || calls.length === 0) {
    const spoken = calls.map((call) => `${call.name}(${call.arguments})`).join('\n');
    return { role: 'assistant', content: text === '' ? spoken : text };
  }
  return {
    role: 'assistant',
    content: text,
    tool_calls: calls.map(({ id, name, arguments: given }) => ({
      id,
      type: 'function',
      function: { name, arguments: given },
    })),
  };
}

function contentOf({ text, pictures }: Question): string | ContentPart[] {
  if (pictures.length === 0) return text;
  const images = pictures.map((url): ContentPart => ({ type: 'image_url', image_url: { url } }));
  return [...images, { type: 'text', text }];
}

function isEmpty({ text, calls }: Answer): boolean {
  return text === '' && calls.length === 0;
}

function isGrowing(message: Message): boolean {
  return message.role === 'assistant' && (message.state === 'waiting' || message.state === 'streaming');
}

function newAnswer(id: number, parent: number, model: string): Answer {
  return {
    role: 'assistant',
    id,
    parent,
    text: '',
    reasoning: '',
    calls: [],
    state: 'waiting',
    stats: { tokens: 0, rate: 0, firstToken: null },
    cutOff: false,
    model,
  };
}

const nextId = (chat: Chat) => (chat.messages.at(-1)?.id ?? 0) + 1;
const find = (chat: Chat, id: number | null) => chat.messages.find((message) => message.id === id);

function append(chat: Chat, now: number, ...messages: Message[]): Chat {
  return {
    ...chat,
    messages: [...chat.messages, ...messages],
    leaf: messages.at(-1)?.id ?? chat.leaf,
    updated: now,
  };
}

/** Only an answer that is being generated can change: anything that arrives late is dropped. */
function updateAnswer(chat: Chat, id: number, update: (answer: Answer) => Answer): Chat {
  const answer = find(chat, id);
  if (answer?.role !== 'assistant' || !isGrowing(answer)) return chat;
  return { ...chat, messages: chat.messages.map((message) => (message === answer ? update(answer) : message)) };
}

function branchTo(chat: Chat, leaf: number | null): Message[] {
  const branch: Message[] = [];
  for (let message = find(chat, leaf); message; message = find(chat, message.parent)) branch.unshift(message);
  return branch;
}

/** The newest message of those that follow this one. Children come after their parents. */
function latestBelow(chat: Chat, id: number): number {
  const below = new Set([id]);
  let latest = id;
  for (const message of chat.messages) {
    if (message.parent === null || !below.has(message.parent)) continue;
    below.add(message.id);
    latest = message.id;
  }
  return latest;
}

/** Characters of a title: what one line of the list shows. */
const TITLE_LENGTH = 60;

function titleOf(text: string): string {
  const line = text.trim().split('\n', 1)[0] ?? '';
  return line.length <= TITLE_LENGTH ? line || 'A picture' : `${line.slice(0, TITLE_LENGTH - 1).trimEnd()}…`;
}
