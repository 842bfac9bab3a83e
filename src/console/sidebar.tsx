import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Chat } from './chat/chat.ts';
import { isGenerating } from './chat/chat.ts';
import { download } from './chat/download.ts';
import { groupByAge, searchChats, toMarkdown } from './chat/library.ts';
import type { Chats } from './chat/use-chats.ts';
import { Brand } from './parts/brand.tsx';
import {
  ChatIcon,
  DeleteIcon,
  DocsIcon,
  ExportIcon,
  LiveIcon,
  NewChatIcon,
  PlugIcon,
  RenameIcon,
  SearchIcon,
} from './parts/icons.tsx';
import type { View } from './view.ts';
import './sidebar.css';

interface Props {
  view: View;
  chats: Chats;
  /** After a choice was made; what a drawer closes on. */
  onChosen: () => void;
  /** Within a drawer: the button that closes it. */
  onClose?: () => void;
}

const VIEWS = [
  { view: 'chat', label: 'Chat', Icon: ChatIcon },
  { view: 'live', label: 'Live', Icon: LiveIcon },
  { view: 'api', label: 'API', Icon: PlugIcon },
] as const;

/** Where one can go: the views, the documentation, and the conversations. */
export function Sidebar({ view, chats, onChosen, onClose }: Props): JSX.Element {
  return (
    <div class="sidebar">
      <Brand onClose={onClose} />
      <nav class="views" aria-label="Views">
        {VIEWS.map(({ view: name, label, Icon }) => (
          <a
            key={name}
            href={name === 'chat' && chats.chat ? `#chat/${chats.chat.id}` : `#${name}`}
            aria-current={view === name ? 'page' : undefined}
            onClick={onChosen}
          >
            <Icon />
            {label}
          </a>
        ))}
        <a href="docs/">
          <DocsIcon />
          Docs
        </a>
      </nav>
      <Conversations chats={chats} view={view} onChosen={onChosen} />
    </div>
  );
}

function Conversations({ chats, view, onChosen }: Pick<Props, 'chats' | 'view' | 'onChosen'>): JSX.Element {
  const [query, setQuery] = useState('');
  const found = searchChats(chats.chats, query);
  const groups = groupByAge(found, Date.now());
  const newChat = () => {
    location.hash = '#chat';
    onChosen();
  };
  const exportAll = () =>
    download('conversations.json', 'application/json', JSON.stringify(searchChats(chats.chats, ''), null, 2));
  return (
    <section class="conversations" aria-label="Conversations">
      <button type="button" class="button new-chat" onClick={newChat}>
        <NewChatIcon />
        New chat
      </button>
      {chats.chats.length > 0 && (
        <label class="search">
          <SearchIcon />
          <span class="visually-hidden">Search the conversations</span>
          <input
            type="search"
            placeholder="Search"
            value={query}
            onInput={(event) => setQuery(event.currentTarget.value)}
          />
        </label>
      )}
      <div class="conversation-list">
        {[...groups].map(([age, ofAge]) => (
          <section key={age} aria-label={age}>
            <h2>{age}</h2>
            <ul>
              {ofAge.map((chat) => (
                <Entry
                  key={chat.id}
                  chat={chat}
                  current={view === 'chat' && chats.chat?.id === chat.id}
                  chats={chats}
                  onChosen={onChosen}
                />
              ))}
            </ul>
          </section>
        ))}
        {found.length === 0 && (
          <p class="nothing">
            {query === ''
              ? 'Conversations are kept in this browser, and nowhere else.'
              : `Nothing found for “${query}”.`}
          </p>
        )}
      </div>
      {chats.notKept && (
        <p class="nothing" role="status">
          {chats.notKept}
        </p>
      )}
      {chats.chats.length > 0 && (
        <button type="button" class="plain" onClick={exportAll}>
          <ExportIcon />
          Export all
        </button>
      )}
    </section>
  );
}

interface EntryProps {
  chat: Chat;
  current: boolean;
  chats: Chats;
  onChosen: () => void;
}

function Entry({ chat, current, chats, onChosen }: EntryProps): JSX.Element {
  const [doing, setDoing] = useState<'renaming' | 'deleting' | null>(null);
  const rename = (title: string) => {
    if (title !== chat.title) chats.rename(chat.id, title);
    setDoing(null);
  };
  if (doing === 'renaming') {
    return (
      <li>
        <RenameField title={chat.title} onDone={rename} />
      </li>
    );
  }
  if (doing === 'deleting') {
    return (
      <li class="deleting">
        <span>Delete “{chat.title}”?</span>
        <span class="actions">
          <button type="button" class="button danger" onClick={() => chats.remove(chat.id)}>
            Delete
          </button>
          <button type="button" class="button" onClick={() => setDoing(null)}>
            Cancel
          </button>
        </span>
      </li>
    );
  }
  const exportIt = () => download(`${fileName(chat.title)}.md`, 'text/markdown', toMarkdown(chat));
  return (
    <li class="entry" data-testid="conversation">
      <a href={`#chat/${chat.id}`} aria-current={current ? 'page' : undefined} title={chat.title} onClick={onChosen}>
        {isGenerating(chat) && <span class="dot" />}
        <span>{chat.title}</span>
      </a>
      <span class="entry-actions">
        <button
          type="button"
          class="icon-button small"
          aria-label={`Rename ${chat.title}`}
          title="Rename"
          onClick={() => setDoing('renaming')}
        >
          <RenameIcon />
        </button>
        <button
          type="button"
          class="icon-button small"
          aria-label={`Export ${chat.title}`}
          title="Export as Markdown"
          onClick={exportIt}
        >
          <ExportIcon />
        </button>
        <button
          type="button"
          class="icon-button small"
          aria-label={`Delete ${chat.title}`}
          title="Delete"
          onClick={() => setDoing('deleting')}
        >
          <DeleteIcon />
        </button>
      </span>
    </li>
  );
}

interface RenameProps {
  title: string;
  /** With the old title where it was cancelled. */
  onDone: (title: string) => void;
}

function RenameField({ title, onDone }: RenameProps): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  return (
    <input
      ref={field}
      class="rename"
      aria-label="Title"
      defaultValue={title}
      onKeyDown={({ key, currentTarget }) => {
        if (key === 'Escape') currentTarget.value = title;
        // The one way out: some browsers blur a field that is removed, too.
        if (key === 'Escape' || key === 'Enter') currentTarget.blur();
      }}
      onBlur={(event) => onDone(event.currentTarget.value)}
    />
  );
}

/** What every file system takes. */
function fileName(title: string): string {
  return title.replaceAll(/[^\p{L}\p{N} _-]+/gu, '').trim() || 'conversation';
}
