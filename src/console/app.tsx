import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Server } from '../index.ts';
import { ApiView } from './api/api-view.tsx';
import { isGenerating } from './chat/chat.ts';
import { Composer, type Draft, NO_DRAFT } from './chat/composer.tsx';
import { Conversation } from './chat/conversation.tsx';
import { loadSettings, type Settings, saveSettings } from './chat/settings.ts';
import { SettingsPanel } from './chat/settings-panel.tsx';
import { useChats } from './chat/use-chats.ts';
import { Welcome } from './chat/welcome.tsx';
import { Drawer } from './drawer.tsx';
import { LiveView } from './live/live-view.tsx';
import { useEvents } from './live/use-live.ts';
import { ModelProgress } from './models/model-progress.tsx';
import { ModelsPanel } from './models/models-panel.tsx';
import { Logo, MenuIcon, ModelsIcon, NewChatIcon, SettingsIcon } from './parts/icons.tsx';
import { RuntimePanel } from './runtime-panel.tsx';
import { Sidebar } from './sidebar.tsx';
import { chatModels, describeModelState, describeRuntime, shortName } from './status.ts';
import { useServer } from './use-server.ts';
import { useMedia, usePlace } from './view.ts';
import './app.css';

type PanelName = 'menu' | 'models' | 'runtime' | 'settings';

export function App({ starting }: { starting: Promise<Server> }): JSX.Element {
  const connection = useServer(starting);
  const { server, status } = connection;
  const place = usePlace();
  const wide = useMedia('(min-width: 60rem)');
  const [settings, setSettings] = useState(loadSettings);
  const [panel, setPanel] = useState<PanelName | null>(null);
  const [draft, setDraft] = useState<Draft>(NO_DRAFT);
  const models = chatModels(status?.models ?? []);
  const model = models.find(({ id }) => id === settings.model) ?? models[0];
  const chats = useChats(starting, settings, model?.id ?? 'local');
  const { chat } = chats;
  const state = describeModelState(connection, model);
  const generating = isGenerating(chat);
  const events = useEvents(status);

  const change = (changed: Settings) => {
    setSettings(changed);
    saveSettings(changed);
    // A failure shows in the model's state.
    if (changed.model !== null && changed.model !== model?.id) server?.models.load(changed.model).catch(() => {});
  };
  const loadAgain = () => {
    if (server && status?.state !== 'stopped' && !status?.reload) server.models.load(model?.id).catch(() => {});
    else location.reload();
  };
  const newChat = () => {
    location.hash = '#chat';
  };
  const ask = ({ text, pictures }: Draft) => chats.ask(text, pictures);
  const waiting = state.kind !== 'ready' && state.kind !== 'failed';
  const answering = generating ? 'Answering' : 'Answer finished';
  const announcement = chat === undefined || waiting ? state.label : answering;
  const close = () => setPanel(null);
  const showRuntime = () => {
    setPanel('runtime');
    // No event reports a measured speed.
    server?.models.list().catch(() => {});
  };

  useAddress(place.view === 'chat' ? place.detail : undefined, chat?.id, chats.open);
  useEffect(() => {
    document.documentElement.dataset.view = place.view === 'chat' && chat === undefined ? 'welcome' : place.view;
  }, [place.view, chat === undefined]);

  return (
    <>
      {wide && (
        <aside aria-label="Views and conversations">
          <Sidebar view={place.view} chats={chats} onChosen={() => {}} />
        </aside>
      )}
      <header class="top">
        {!wide && (
          <>
            <button
              type="button"
              class="icon-button menu"
              aria-label="Menu"
              title="Menu"
              onClick={() => setPanel('menu')}
            >
              <MenuIcon />
            </button>
            <span class="top-brand">
              <Logo />
              <span>llamatab</span>
            </span>
          </>
        )}
        <h1 class="visually-hidden">llamatab</h1>
        <p class="state" data-testid="model-state" data-state={state.kind}>
          <span class="dot" />
          <span class="state-model">{model ? shortName(model) : ''}</span>
          <span>{state.percent === undefined ? state.label : `${state.percent} %`}</span>
        </p>
        <nav aria-label="Chat and settings">
          {!wide && chat && place.view === 'chat' && (
            <button type="button" class="icon-button" onClick={newChat} aria-label="New chat" title="New chat">
              <NewChatIcon />
            </button>
          )}
          <button
            type="button"
            class="icon-button"
            onClick={() => setPanel('models')}
            aria-label="Models"
            title="Models"
          >
            <ModelsIcon />
          </button>
          <button
            type="button"
            class="icon-button"
            onClick={() => setPanel('settings')}
            aria-label="Settings"
            title="Settings"
          >
            <SettingsIcon />
          </button>
        </nav>
      </header>

      <main>
        {place.view === 'live' && <LiveView server={server} status={status} events={events} />}
        {place.view === 'api' && <ApiView server={server} status={status} asked={place.detail} />}
        {place.view === 'chat' && (
          <>
            {chat ? (
              <Conversation
                chat={chat}
                chats={chats}
                state={state}
                maxTokens={settings.maxTokens}
                onNewChat={newChat}
              />
            ) : (
              <Welcome
                model={model}
                offline={status?.intercepts !== false || status.state !== 'ready'}
                onAsk={(text) => ask({ text, pictures: [] })}
              />
            )}
            <div class="bottom">
              <ModelProgress state={state} name={model ? shortName(model) : 'the model'} onRetry={loadAgain} />
              <Composer
                chat={chat?.id}
                draft={draft}
                onDraft={setDraft}
                generating={generating}
                sees={model?.capabilities.includes('vision') ?? false}
                onSend={ask}
                onStop={chats.stop}
              />
            </div>
          </>
        )}
      </main>

      <footer>
        <button type="button" class="runtime" data-testid="runtime" onClick={showRuntime}>
          {describeRuntime(status, model)}
        </button>
      </footer>

      {/* Coarse states only: a screen reader shouldn't announce each percent or token. */}
      <p class="visually-hidden" role="status" data-testid="announcement">
        {`${announcement}.`}
      </p>

      {panel === 'menu' && !wide && (
        <Drawer onClose={close}>
          {(dismiss) => <Sidebar view={place.view} chats={chats} onChosen={dismiss} onClose={dismiss} />}
        </Drawer>
      )}
      {panel === 'settings' && <SettingsPanel settings={settings} models={models} onChange={change} onClose={close} />}
      {panel === 'models' && (
        <ModelsPanel
          server={server}
          models={status?.models ?? []}
          chatModel={model?.id}
          onChat={(id) => change({ ...settings, model: id })}
          onClose={close}
        />
      )}
      {panel === 'runtime' && <RuntimePanel status={status} model={model} onClose={close} />}
    </>
  );
}

/**
 * Keeps the address and the open chat the same: the address opens a chat, and a chat that is begun or deleted changes the address.
 *
 * @param asked The chat's id in the address; null for a new one, undefined in other views.
 */
function useAddress(asked: string | null | undefined, open: string | undefined, onOpen: (id: string | null) => void) {
  useEffect(() => {
    if (asked !== undefined) onOpen(asked);
  }, [asked]);
  const mounted = useRef(false);
  useEffect(() => {
    if (mounted.current && asked !== undefined && asked !== (open ?? null)) {
      // Unlike `history.replaceState`, this is heard as a change.
      location.replace(open === undefined ? '#chat' : `#chat/${open}`);
    }
    mounted.current = true;
  }, [open]);
}
