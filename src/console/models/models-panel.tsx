import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ModelStatus, Server } from '../../index.ts';
import { formatBytes } from '../parts/format.ts';
import { Panel } from '../parts/panel.tsx';
import { AddModel } from './add-model.tsx';
import { ModelRow } from './model-row.tsx';
import { sortModels } from './model-words.ts';
import './models-panel.css';

interface Props {
  server: Server | undefined;
  models: readonly ModelStatus[];
  /** Id of the model that the chat uses. */
  chatModel: string | undefined;
  onChat: (id: string) => void;
  onClose: () => void;
}

export function ModelsPanel({ server, models, chatModel, onChat, onClose }: Props): JSX.Element {
  const storage = useStorage(models);
  return (
    <Panel title="Models" onClose={onClose}>
      {server === undefined ? (
        <p>llamatab is starting…</p>
      ) : (
        <>
          <ul class="models">
            {sortModels(models).map((model) => (
              <ModelRow key={model.id} server={server} model={model} chatModel={chatModel} onChat={onChat} />
            ))}
          </ul>
          <p class="storage" data-testid="storage">
            {storage}
          </p>
          <AddModel server={server} />
        </>
      )}
    </Panel>
  );
}

/** The space that this site uses on the disk, read again whenever a model's files have changed. */
function useStorage(models: readonly ModelStatus[]): string {
  const [text, setText] = useState('');
  const stored = models.map(({ files }) => `${files.state} ${files.work === undefined}`).join();
  useEffect(() => {
    let left = false;
    describeStorage().then((described) => {
      if (!left) setText(described);
    });
    return () => {
      left = true;
    };
  }, [stored]);
  return text;
}

async function describeStorage(): Promise<string> {
  try {
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    const kept = await navigator.storage.persisted();
    return (
      `${formatBytes(usage)} used of the ${formatBytes(quota)} that this browser grants the site. ` +
      (kept ? 'It won’t delete the models on its own.' : 'It may delete the models when the disk is full.')
    );
  } catch {
    return 'This browser doesn’t say how much space is available.';
  }
}
