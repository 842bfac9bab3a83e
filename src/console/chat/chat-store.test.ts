import 'fake-indexeddb/auto';
import { set } from 'idb-keyval';
import { expect, it } from 'vitest';
import { newChat, reduceChat } from './chat.ts';
import { createChatStore } from './chat-store.ts';

const chatOf = (id: string, now: number) =>
  reduceChat(newChat(id, now), { type: 'ask', after: null, text: id, pictures: [], model: 'm', now });

it('keeps chats, the latest first; an answer under way has ended', async () => {
  const store = createChatStore('test:keeps');
  await store.save(chatOf('a', 1));
  await store.save(chatOf('b', 2));
  await store.save(chatOf('c', 3));
  await store.remove('c');
  const chats = await createChatStore('test:keeps').load();
  expect(chats.map(({ id }) => id)).toEqual(['b', 'a']);
  expect(chats[0]?.messages.at(-1)).toMatchObject({ role: 'assistant', state: 'stopped' });
});

it('leaves out what is no chat', async () => {
  const { createStore } = await import('idb-keyval');
  const database = createStore('test:damaged', 'chats');
  await set('x', { id: 'x', title: 5 }, database);
  await set('y', { ...chatOf('y', 1), leaf: 99 }, database);
  await set('z', null, database);
  expect(await createChatStore('test:damaged').load()).toEqual([]);
});

it('tells other tabs', async () => {
  const [one, other] = [createChatStore('test:tabs'), createChatStore('test:tabs')];
  const heard: [string, string | undefined][] = [];
  const second = new Promise<void>((resolve) => {
    other.watch((id, chat) => {
      heard.push([id, chat?.title]);
      if (heard.length === 2) resolve();
    });
  });
  await one.save(chatOf('a', 1));
  await one.remove('b');
  await second;
  expect(heard.sort()).toEqual([
    ['a', 'a'],
    ['b', undefined],
  ]);
});
