import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Server } from '../index.ts';
import { isGenerating } from './chat.ts';
import { CodePanel } from './code-panel.tsx';
import { Composer } from './composer.tsx';
import { Conversation } from './conversation.tsx';
import { CodeIcon, Logo, ModelsIcon, NewChatIcon, SettingsIcon } from './icons.tsx';
import { ModelProgress } from './model-progress.tsx';
import { ModelsPanel } from './models-panel.tsx';
import { RuntimePanel } from './runtime-panel.tsx';
import { loadSettings, type Settings, saveSettings } from './settings.ts';
import { SettingsPanel } from './settings-panel.tsx';
import { chatModels, describeModelState, describeRuntime, shortName } from './status.ts';
import { useChat } from './use-chat.ts';
import { useServer } from './use-server.ts';
import { Welcome } from './welcome.tsx';
import './app.css';

type PanelName = 'code' | 'models' | 'runtime' | 'settings';

export function App({ starting }: { starting: Promise<Server> }): JSX.Element {
  const connection = useServer(starting);
  const [settings, setSettings] = useState(loadSettings);
  const [panel, setPanel] = useState<PanelName | null>(null);
  const [draft, setDraft] = useState('');
  const { chat, ask, retry, stop, clear } = useChat(starting, settings);

  const { server, status } = connection;
  const models = chatModels(status?.models ?? []);
  const model = models.find(({ id }) => id === settings.model) ?? models[0];
  const state = describeModelState(connection, model);
  const generating = isGenerating(chat);

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
    clear();
    setDraft('');
  };
  const waiting = state.kind !== 'ready' && state.kind !== 'failed';
  const answering = generating ? 'Answering' : 'Answer finished';
  const announcement = chat.length === 0 || waiting ? state.label : answering;
  const close = () => setPanel(null);
  const showRuntime = () => {
    setPanel('runtime');
    // No event reports a measured speed.
    server?.models.list().catch(() => {});
  };

  useEffect(() => {
    document.documentElement.dataset.view = chat.length === 0 ? 'welcome' : 'chat';
  }, [chat.length === 0]);

  return (
    <>
      <header class="top">
        <h1>
          <Logo />
          <span>llamatab</span>
        </h1>
        <p class="state" data-testid="model-state" data-state={state.kind}>
          <span class="dot" />
          <span class="state-model">{model ? shortName(model) : ''}</span>
          <span>{state.percent === undefined ? state.label : `${state.percent} %`}</span>
        </p>
        <nav aria-label="Chat and settings">
          {chat.length > 0 && (
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
            onClick={() => setPanel('code')}
            aria-label="Use it from code"
            title="Use it from code"
          >
            <CodeIcon />
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
        {chat.length === 0 ? (
          <Welcome model={model} offline={status?.intercepts !== false || status.state !== 'ready'} onAsk={ask} />
        ) : (
          <Conversation chat={chat} state={state} settings={settings} onRetry={retry} onNewChat={newChat} />
        )}
        <div class="bottom">
          <ModelProgress state={state} name={model ? shortName(model) : 'the model'} onRetry={loadAgain} />
          <Composer
            empty={chat.length === 0}
            draft={draft}
            onDraft={setDraft}
            generating={generating}
            onSend={ask}
            onStop={stop}
          />
        </div>
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
      {panel === 'code' && <CodePanel status={status} baseURL={server?.baseURL} onClose={close} />}
      {panel === 'runtime' && <RuntimePanel status={status} model={model} onClose={close} />}
    </>
  );
}
