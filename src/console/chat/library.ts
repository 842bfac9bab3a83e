/** All chats, and which one is open. */
import { type Chat, type ChatAction, reduceChat, shownMessages } from './chat.ts';

export interface Library {
  /** In any order. */
  chats: readonly Chat[];
  /** Null for a new one, of which nothing is kept before its first question. */
  open: string | null;
}

export type LibraryAction =
  /** From the store; what has been asked meanwhile stays. */
  | { type: 'loaded'; chats: readonly Chat[] }
  | { type: 'open'; id: string | null }
  /** A chat as a whole: a new one, or as another tab has left it. */
  | { type: 'put'; chat: Chat; open: boolean }
  | { type: 'remove'; id: string }
  | { type: 'change'; id: string; change: ChatAction };

export function reduceLibrary(library: Library, action: LibraryAction): Library {
  const { chats, open } = library;
  switch (action.type) {
    case 'loaded': {
      const known = new Set(chats.map(({ id }) => id));
      return { ...library, chats: [...chats, ...action.chats.filter(({ id }) => !known.has(id))] };
    }
    case 'open':
      return { ...library, open: action.id };
    case 'put': {
      const { chat } = action;
      return { chats: [...without(chats, chat.id), chat], open: action.open ? chat.id : open };
    }
    case 'remove':
      return { chats: without(chats, action.id), open: open === action.id ? null : open };
    case 'change':
      return {
        ...library,
        chats: chats.map((chat) => (chat.id === action.id ? reduceChat(chat, action.change) : chat)),
      };
  }
}

const without = (chats: readonly Chat[], id: string) => chats.filter((chat) => chat.id !== id);

/** The chats in which all these words occur, whatever the case; the latest first. */
export function searchChats(chats: readonly Chat[], query: string): Chat[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (chat: Chat) => {
    if (words.length === 0) return true;
    const text = [chat.title, ...chat.messages.map((message) => ('text' in message ? message.text : ''))]
      .join('\n')
      .toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return chats.filter(matches).sort((a, b) => b.updated - a.updated);
}

export type Age = 'Today' | 'Yesterday' | 'Past week' | 'Older';

/** Chats under the headings that they are listed by, in their order. @param now milliseconds since 1970 */
export function groupByAge(chats: readonly Chat[], now: number): Map<Age, Chat[]> {
  const groups = new Map<Age, Chat[]>();
  for (const chat of chats) {
    const age = ageOf(chat.updated, now);
    groups.set(age, [...(groups.get(age) ?? []), chat]);
  }
  return groups;
}

const DAY = 86_400_000;

function ageOf(updated: number, now: number): Age {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (updated >= midnight) return 'Today';
  if (updated >= midnight - DAY) return 'Yesterday';
  return updated >= midnight - 7 * DAY ? 'Past week' : 'Older';
}

/** The branch that is shown, as Markdown. */
export function toMarkdown(chat: Chat): string {
  const parts = shownMessages(chat).map((message) => {
    if (message.role === 'user') return `## You\n\n${message.text}`;
    if (message.role === 'tool') return message.results.map(({ name, text }) => `## ${name}\n\n${text}`).join('\n\n');
    const calls = message.calls.map((call) => `\`${call.name}(${call.arguments})\``);
    return [`## ${message.model}`, message.text, ...calls].filter(Boolean).join('\n\n');
  });
  return `# ${chat.title}\n\n${parts.join('\n\n')}\n`;
}
