import { describe, expect, it } from 'vitest';
import {
  alternatives,
  asStopped,
  type Chat,
  type ChatAction,
  isGenerating,
  newChat,
  reduceChat,
  shownMessages,
  toRequestMessages,
} from './chat.ts';

const afterActions = (...actions: ChatAction[]) => actions.reduce<Chat>(reduceChat, newChat('x', 0));
const stats = { tokens: 2, rate: 40, firstToken: 12 };
const model = 'm';
const now = 1;
const ask = (after: number | null, text: string, pictures: string[] = []): ChatAction => ({
  type: 'ask',
  after,
  text,
  pictures,
  model,
  now,
});
const add = (id: number, text: string): ChatAction => ({ type: 'add', id, text, reasoning: '', calls: [], stats });
const done = (id: number): ChatAction => ({ type: 'done', id, stats, cutOff: false });
const retry = (answer: number): ChatAction => ({ type: 'retry', answer, model, now });
const show = (id: number): ChatAction => ({ type: 'show', id });
const textsOf = (chat: Chat) => shownMessages(chat).map((message) => ('text' in message ? message.text : null));

describe('reduceChat', () => {
  it('walks an answer from waiting to done', () => {
    const asked = afterActions(ask(null, 'Hi'));
    expect(shownMessages(asked)).toMatchObject([
      { role: 'user', id: 1, text: 'Hi' },
      { role: 'assistant', id: 2, text: '', state: 'waiting', model },
    ]);
    expect(asked).toMatchObject({ title: 'Hi', updated: now });
    expect(isGenerating(asked)).toBe(true);
    const streaming = [add(2, 'Hel'), add(2, 'lo')].reduce(reduceChat, asked);
    expect(streaming.messages.at(-1)).toMatchObject({ text: 'Hello', state: 'streaming', stats });
    expect(isGenerating(streaming)).toBe(true);
    const finished = reduceChat(streaming, done(2));
    expect(finished.messages.at(-1)).toMatchObject({ text: 'Hello', state: 'done' });
    expect(isGenerating(finished)).toBe(false);
  });

  it('keeps what was generated when stopped or failed, and drops what comes late', () => {
    const stopped = afterActions(ask(null, 'Hi'), add(2, 'Hel'), { type: 'stopped', id: 2 }, add(2, 'lo'), done(2));
    expect(stopped.messages.at(-1)).toMatchObject({ text: 'Hel', state: 'stopped' });
    const problem = { type: 'server_error', message: 'No.' };
    const failed = afterActions(ask(null, 'Hi'), add(2, 'Hel'), { type: 'failed', id: 2, problem });
    expect(failed.messages.at(-1)).toMatchObject({ text: 'Hel', state: 'failed', problem });
  });

  it('keeps an answer as a branch when there is another', () => {
    const chat = afterActions(ask(null, 'Hi'), add(2, 'old'), done(2), retry(2), add(3, 'new'), done(3));
    expect(textsOf(chat)).toEqual(['Hi', 'new']);
    const [, shown] = shownMessages(chat);
    expect(shown && alternatives(chat, shown)).toEqual([2, 3]);
    expect(textsOf(reduceChat(chat, show(2)))).toEqual(['Hi', 'old']);
  });

  it('keeps a question, and all that followed it, when it is edited', () => {
    const talked = afterActions(ask(null, 'a'), add(2, 'b'), done(2), ask(2, 'c'), add(4, 'd'), done(4));
    const edited = [ask(null, 'A'), add(6, 'B'), done(6)].reduce(reduceChat, talked);
    expect(textsOf(edited)).toEqual(['A', 'B']);
    expect(textsOf(reduceChat(edited, show(1)))).toEqual(['a', 'b', 'c', 'd']);
  });

  it('renames, but not to nothing', () => {
    const chat = afterActions(
      ask(null, 'Hi\nthere'),
      { type: 'rename', title: ' New ' },
      { type: 'rename', title: ' ' },
    );
    expect(chat.title).toBe('New');
    expect(afterActions(ask(null, 'x'.repeat(100))).title).toHaveLength(60);
  });

  it('leaves unchanged messages identical, so that they need no rendering', () => {
    const before = afterActions(ask(null, 'Hi'), add(2, 'Hello'), done(2), ask(2, 'More'));
    const later = reduceChat(before, add(4, 'x'));
    expect(later.messages.slice(0, 3).every((message, index) => message === before.messages[index])).toBe(true);
  });

  it('is stopped when it is read again', () => {
    expect(isGenerating(asStopped(afterActions(ask(null, 'Hi'), add(2, 'Hel'))))).toBe(false);
    const whole = afterActions(ask(null, 'Hi'), done(2));
    expect(asStopped(whole)).toBe(whole);
  });
});

describe('toRequestMessages', () => {
  it('sends the branch that is shown, the system prompt first', () => {
    const chat = afterActions(ask(null, 'a'), add(2, 'old'), done(2), retry(2), add(3, 'b'), done(3), ask(3, 'c'));
    expect(toRequestMessages(chat, 5, 'Be brief.')).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
      { role: 'user', content: 'c' },
    ]);
  });

  it('sends a stopped answer, and neither an empty one nor its question', () => {
    const chat = afterActions(
      ask(null, 'a'),
      add(2, 'b'),
      { type: 'stopped', id: 2 },
      ask(2, 'c'),
      { type: 'stopped', id: 4 },
      ask(4, 'd'),
    );
    expect(toRequestMessages(chat, 6, ' ').map((message) => message.content)).toEqual(['a', 'b', 'd']);
  });

  it('sends the question again on retry', () => {
    const chat = afterActions(ask(null, 'a'), add(2, 'b'), done(2), retry(2));
    expect(toRequestMessages(chat, 3, '')).toEqual([{ role: 'user', content: 'a' }]);
  });

  it('sends pictures before the text', () => {
    expect(toRequestMessages(afterActions(ask(null, 'a', ['data:x'])), 2, '')).toEqual([
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: 'data:x' } },
          { type: 'text', text: 'a' },
        ],
      },
    ]);
  });

  it('sends calls with their results, and as text where none were given', () => {
    const call = { id: 'c1', name: 'f', arguments: '{}' };
    const called = afterActions(ask(null, 'a'), { ...add(2, ''), calls: [call] } as ChatAction, done(2));
    const results = [{ call: 'c1', name: 'f', text: '7' }];
    const given = reduceChat(called, { type: 'results', answer: 2, results, model, now });
    expect(toRequestMessages(given, 4, '')).toEqual([
      { role: 'user', content: 'a' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: '7' },
    ]);
    expect(toRequestMessages(reduceChat(called, ask(2, 'b')), 4, '').map(({ content }) => content)).toEqual([
      'a',
      'f({})',
      'b',
    ]);
  });
});
