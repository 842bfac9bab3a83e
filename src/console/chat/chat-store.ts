/** The chats, kept in IndexedDB: one record for each, in a database for each site of the origin. */
import { createStore, del, entries, get, set, type UseStore } from 'idb-keyval';
import { asStopped, type Chat } from './chat.ts';

export interface ChatStore {
  /** All chats, the latest first. Rejects where the browser keeps nothing. */
  load(): Promise<Chat[]>;
  save(chat: Chat): Promise<void>;
  remove(id: string): Promise<void>;
  /** Calls `onChange` with each chat that another tab has saved, or with null and its id if that deleted it. */
  watch(onChange: (id: string, chat: Chat | null) => void): () => void;
}

/** @param name of the database, and of the channel between the site's tabs */
export function createChatStore(name: string): ChatStore {
  let opened: UseStore | undefined;
  const database = () => {
    opened ??= createStore(name, 'chats');
    return opened;
  };
  const channel = new BroadcastChannel(name);
  return {
    async load() {
      const stored = await entries<string, unknown>(database());
      return stored
        .map(([, chat]) => readChat(chat))
        .filter((chat) => chat !== null)
        .sort((a, b) => b.updated - a.updated);
    },
    async save(chat) {
      await set(chat.id, chat, database());
      channel.postMessage(chat.id);
    },
    async remove(id) {
      await del(id, database());
      channel.postMessage(id);
    },
    watch(onChange) {
      const onMessage = async ({ data: id }: MessageEvent<string>) => onChange(id, readChat(await get(id, database())));
      channel.addEventListener('message', onMessage);
      return () => channel.removeEventListener('message', onMessage);
    },
  };
}

/** What another version may have stored: null if it is no chat. An answer that was under way has ended with its page. */
function readChat(stored: unknown): Chat | null {
  const { id, title, created, updated, messages, leaf } = (stored ?? {}) as Partial<Chat>;
  const whole =
    typeof id === 'string' &&
    typeof title === 'string' &&
    typeof created === 'number' &&
    typeof updated === 'number' &&
    Array.isArray(messages) &&
    (leaf === null || messages.some((message) => message.id === leaf));
  return whole ? asStopped(stored as Chat) : null;
}
