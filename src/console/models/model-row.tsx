import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ModelStatus, Server } from '../../index.ts';
import { formatBytes } from '../parts/format.ts';
import {
  ACTION_NAMES,
  type Action,
  actionsOf,
  describeKind,
  describeReport,
  describeRow,
  describeSpace,
} from './model-words.ts';
import { saveModel } from './save-model.ts';
import './progress.css';
import './model-row.css';

interface Props {
  server: Server;
  model: ModelStatus;
  chatModel: string | undefined;
  onChat: (id: string) => void;
}

/** The result of the last action. */
interface Outcome {
  text: string;
  isBad?: boolean;
  /** Whether to offer a repair. */
  repair?: boolean;
}

export function ModelRow({ server, model, chatModel, onChat }: Props): JSX.Element {
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [deleting, setDeleting] = useState(false);
  const { id, name, license, licenseUrl, files } = model;
  const { models } = server;
  const { kind, label, detail, percent } = describeRow(model);

  const run = async (work: () => Promise<Outcome | null>) => {
    setOutcome(null);
    try {
      setOutcome(await work());
    } catch (error) {
      setOutcome({ text: error instanceof Error ? error.message : String(error), isBad: true });
    }
  };
  const quietly = (work: Promise<unknown>) => run(() => work.then(() => null));
  const verify = async (): Promise<Outcome> => {
    const report = await models.verify(id);
    return { text: describeReport(report, false), isBad: !report.ok, repair: !report.ok };
  };
  const repair = () => run(async () => ({ text: describeReport(await models.repair(id), true) }));
  const showSpace = async (): Promise<Outcome> => {
    const { fits, text } = describeSpace(await models.space(id));
    return { text, isBad: !fits };
  };
  const actions: Record<Action, () => unknown> = {
    chat: () => onChat(id),
    // A failure of these two shows in the model's state, in every tab.
    download: () => models.download(id).catch(() => {}),
    load: () => models.load(id).catch(() => {}),
    resume: () => quietly(models.resume(id)),
    pause: () => quietly(models.pause(id)),
    cancel: () => quietly(models.cancel(id)),
    unload: () => quietly(models.unload(id)),
    verify: () => run(verify),
    pin: () => quietly(models.pin(id)),
    unpin: () => quietly(models.pin(id, false)),
    save: () => run(async () => ((await saveModel(server, model)) ? { text: 'Saved.' } : null)),
    space: () => run(showSpace),
    remove: () => setDeleting(true),
  };

  return (
    <li class="model" data-testid={`model-${id}`} data-state={kind}>
      <h3>
        {name}
        {id === chatModel && <span class="tag">in this chat</span>}
        {files.pinned && <span class="tag">kept</span>}
      </h3>
      <p class="about">
        {describeKind(model)}
        {license !== 'unknown' && (
          <>
            {' · '}
            {licenseUrl === undefined ? (
              license
            ) : (
              <a href={new URL(licenseUrl, catalogUrl(server)).href} target="_blank" rel="noreferrer">
                {license}
              </a>
            )}
          </>
        )}
      </p>
      <p class="doing">
        <span class="dot" />
        <strong>{label}</strong>
        {detail && <span class="numbers">{detail}</span>}
      </p>
      {percent !== undefined && <progress aria-label={`${label}: ${name}`} max={100} value={percent} />}
      {deleting ? (
        <fieldset class="confirm">
          <legend>
            {model.source === 'site' || files.loaded > 0
              ? `Delete ${formatBytes(files.loaded)} from this browser?`
              : 'Remove it from the list?'}
          </legend>
          <button
            type="button"
            class="button danger"
            onClick={() => quietly(models.remove(id).finally(() => setDeleting(false)))}
          >
            Delete
          </button>
          <button type="button" class="button" onClick={() => setDeleting(false)}>
            Cancel
          </button>
        </fieldset>
      ) : (
        <p class="actions">
          {actionsOf(model, chatModel).map((action) => (
            <button
              key={action}
              type="button"
              class="button"
              aria-label={`${ACTION_NAMES[action]}: ${name}`}
              onClick={actions[action]}
            >
              {ACTION_NAMES[action]}
            </button>
          ))}
        </p>
      )}
      <p class="outcome" role="status" data-bad={outcome?.isBad ?? false}>
        {outcome?.text}
        {outcome?.repair && (
          <button type="button" class="button" onClick={repair}>
            Repair
          </button>
        )}
      </p>
    </li>
  );
}

/** Links in the catalog are relative to it. */
function catalogUrl({ baseURL }: Server): string {
  return new URL('../models/catalog.json', `${baseURL}/`).href;
}
