import { expect, it } from 'vitest';
import { type Chat, newChat, reduceChat } from './chat.ts';
import { groupByAge, type LibraryAction, reduceLibrary, searchChats, toMarkdown } from './library.ts';

function chatOf(id: string, text: string, updated = 0): Chat {
  const asked = reduceChat(newChat(id, updated), {
    type: 'ask',
    after: null,
    text,
    pictures: [],
    model: 'm',
    now: updated,
  });
  const stats = { tokens: 1, rate: 0, firstToken: null };
  const said = reduceChat(asked, { type: 'add', id: 2, text: `On ${text}`, reasoning: '', calls: [], stats });
  return reduceChat(said, { type: 'done', id: 2, stats, cutOff: false });
}

const after = (...actions: LibraryAction[]) => actions.reduce(reduceLibrary, { chats: [], open: null });

it('adds, opens, changes and removes chats', () => {
  const [a, b] = [chatOf('a', 'apples'), chatOf('b', 'pears')];
  const both = after({ type: 'put', chat: a, open: true }, { type: 'loaded', chats: [b, chatOf('a', 'stale')] });
  expect(both).toEqual({ chats: [a, b], open: 'a' });
  const renamed = reduceLibrary(both, { type: 'change', id: 'b', change: { type: 'rename', title: 'Fruit' } });
  expect(renamed.chats.map(({ title }) => title)).toEqual(['apples', 'Fruit']);
  expect(reduceLibrary(renamed, { type: 'remove', id: 'a' })).toMatchObject({ chats: [{ id: 'b' }], open: null });
  expect(reduceLibrary(renamed, { type: 'open', id: 'b' }).open).toBe('b');
});

it('finds all words, in titles, questions and answers, the latest first', () => {
  const chats = [chatOf('a', 'Red apples', 1), chatOf('b', 'green apples', 2), chatOf('c', 'pears', 3)];
  expect(searchChats(chats, 'APPLES').map(({ id }) => id)).toEqual(['b', 'a']);
  expect(searchChats(chats, 'on red').map(({ id }) => id)).toEqual(['a']);
  expect(searchChats(chats, ' ').map(({ id }) => id)).toEqual(['c', 'b', 'a']);
});

it('groups by age', () => {
  const noon = new Date(2026, 10, 26, 12).getTime();
  const HOUR = 3_600_000;
  const chats = [0, 13, 37, 24 * 9].map((hours) => chatOf(String(hours), 'x', noon - hours * HOUR));
  expect([...groupByAge(chats, noon)].map(([age, ofAge]) => [age, ofAge.map(({ id }) => id)])).toEqual([
    ['Today', ['0']],
    ['Yesterday', ['13']],
    ['Past week', ['37']],
    ['Older', ['216']],
  ]);
});

it('writes the branch that is shown as Markdown', () => {
  expect(toMarkdown(chatOf('a', 'apples'))).toBe('# apples\n\n## You\n\napples\n\n## m\n\nOn apples\n');
});
