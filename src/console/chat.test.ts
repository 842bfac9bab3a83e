import { describe, expect, it } from 'vitest';
import { type Chat, type ChatAction, isGenerating, reduceChat, toRequestMessages } from './chat.ts';

const afterActions = (...actions: ChatAction[]) => actions.reduce<Chat>(reduceChat, []);
const stats = { tokens: 2, rate: 40, firstToken: 12 };
const ask = (id: number, text: string): ChatAction => ({ type: 'ask', id, text });
const add = (id: number, text: string): ChatAction => ({ type: 'add', id, text, reasoning: '', stats });
const done = (id: number): ChatAction => ({ type: 'done', id, stats, cutOff: false });

describe('reduceChat', () => {
  it('walks an answer from waiting to done', () => {
    const asked = afterActions(ask(1, 'Hi'));
    expect(asked).toMatchObject([
      { role: 'user', id: 1, text: 'Hi' },
      { role: 'assistant', id: 2, text: '', state: 'waiting' },
    ]);
    expect(isGenerating(asked)).toBe(true);
    const streaming = afterActions(ask(1, 'Hi'), add(2, 'Hel'), add(2, 'lo'));
    expect(streaming.at(-1)).toMatchObject({ text: 'Hello', state: 'streaming', stats });
    expect(isGenerating(streaming)).toBe(true);
    const finished = reduceChat(streaming, done(2));
    expect(finished.at(-1)).toMatchObject({ text: 'Hello', state: 'done' });
    expect(isGenerating(finished)).toBe(false);
  });

  it('keeps what was generated when stopped or failed', () => {
    expect(afterActions(ask(1, 'Hi'), add(2, 'Hel'), { type: 'stopped', id: 2 }).at(-1)).toMatchObject({
      text: 'Hel',
      state: 'stopped',
    });
    const problem = { type: 'server_error', message: 'No.' };
    expect(afterActions(ask(1, 'Hi'), add(2, 'Hel'), { type: 'failed', id: 2, problem }).at(-1)).toMatchObject({
      text: 'Hel',
      state: 'failed',
      problem,
    });
  });

  it('replaces the last answer on retry, and drops what comes late for the old one', () => {
    const chat = afterActions(ask(1, 'Hi'), add(2, 'old'), { type: 'retry', id: 3 }, add(2, ' more'), add(3, 'new'));
    expect(chat).toMatchObject([{ text: 'Hi' }, { id: 3, text: 'new' }]);
  });

  it('clears, and ignores what comes afterwards', () => {
    expect(afterActions(ask(1, 'Hi'), { type: 'clear' }, add(2, 'late'), done(2), { type: 'retry', id: 3 })).toEqual(
      [],
    );
  });

  it('leaves unchanged messages identical, so that they need no rendering', () => {
    const before = afterActions(ask(1, 'Hi'), add(2, 'Hello'), done(2), ask(3, 'More'));
    const later = reduceChat(before, add(4, 'x'));
    expect(later.slice(0, 3).every((message, index) => message === before[index])).toBe(true);
  });
});

describe('toRequestMessages', () => {
  it('sends the whole chat, the system prompt first', () => {
    expect(toRequestMessages(afterActions(ask(1, 'a'), add(2, 'b'), done(2), ask(3, 'c')), 'Be brief.')).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
      { role: 'user', content: 'c' },
    ]);
  });

  it('sends a stopped answer, and neither an empty one nor its question', () => {
    const chat = afterActions(ask(1, 'a'), add(2, 'b'), { type: 'stopped', id: 2 }, ask(3, 'c'), {
      type: 'stopped',
      id: 4,
    });
    expect(toRequestMessages(reduceChat(chat, ask(5, 'd')), ' ').map((message) => message.content)).toEqual([
      'a',
      'b',
      'd',
    ]);
  });

  it('sends the question again on retry', () => {
    expect(toRequestMessages(afterActions(ask(1, 'a'), add(2, 'b'), { type: 'retry', id: 3 }), '')).toEqual([
      { role: 'user', content: 'a' },
    ]);
  });
});
