/** Puts a model of the list into words: what it is, what it is doing, and what can be done with it. */
import type { DownloadProgress, ModelStatus, SpaceReport, VerifyReport } from '../../index.ts';
import { formatBytes, formatBytesOf, formatDuration, formatProgress, percentOf } from '../parts/format.ts';

/** What can be done with a model. */
export type Action =
  | 'chat'
  | 'download'
  | 'resume'
  | 'pause'
  | 'cancel'
  | 'load'
  | 'unload'
  | 'verify'
  | 'pin'
  | 'unpin'
  | 'save'
  | 'space'
  | 'remove';

export const ACTION_NAMES: Record<Action, string> = {
  chat: 'Chat with it',
  download: 'Download',
  resume: 'Resume',
  pause: 'Pause',
  cancel: 'Cancel',
  load: 'Load',
  unload: 'Unload',
  verify: 'Verify',
  pin: 'Keep',
  unpin: 'Stop keeping',
  save: 'Save to a file',
  space: 'What it needs',
  remove: 'Delete',
};

export interface RowState {
  kind: 'absent' | 'busy' | 'paused' | 'here' | 'loaded' | 'failed';
  label: string;
  /** Numbers, or a reason. */
  detail?: string;
  /** 0 to 100, while something is under way. */
  percent?: number;
}

export function describeRow(model: ModelStatus): RowState {
  const { files, state, error } = model;
  const work = workOf(model);
  if (work !== undefined) return describeWork(work, model);
  if (state === 'loading') return { kind: 'busy', label: 'Loading into memory' };
  if (state === 'loaded') {
    const memory = model.runtime ? `uses ${formatBytes(model.runtime.memory)} of memory` : undefined;
    return { kind: 'loaded', label: 'Loaded', ...(memory ? { detail: memory } : {}) };
  }
  if (state === 'failed') return { kind: 'failed', label: 'Failed', detail: error ?? 'No reason was given.' };
  switch (files.state) {
    case 'complete':
      return files.kept === 'memory'
        ? {
            kind: 'here',
            label: 'In this tab',
            detail: 'this browser stores nothing, so the model is gone when the tab is closed',
          }
        : { kind: 'here', label: 'On this device' };
    case 'partial':
    case 'failed':
      return {
        kind: 'paused',
        label: 'Incomplete',
        detail: formatBytesOf(files.loaded, files.total),
        percent: percentOf(files.loaded, files.total),
      };
    case 'absent':
      return { kind: 'absent', label: 'Not downloaded' };
  }
}

/** The download, the copying or the check under way. */
function workOf({ state, progress, files }: ModelStatus): DownloadProgress | undefined {
  return files.work ?? (state === 'downloading' ? progress : undefined);
}

function describeWork(work: DownloadProgress, { source }: ModelStatus): RowState {
  const { loaded, total, state = 'downloading', reason, retryIn } = work;
  const percent = percentOf(loaded, total);
  const bytes = formatBytesOf(loaded, total);
  const why = reason === undefined ? {} : { detail: reason };
  switch (state) {
    case 'paused':
      return { kind: 'paused', label: 'Paused', detail: bytes, percent };
    case 'offline':
      return { kind: 'busy', label: 'Waiting for the network', percent, ...why };
    case 'retrying':
      return {
        kind: 'busy',
        label: `Trying again${retryIn === undefined ? '' : ` in ${formatDuration(retryIn)}`}`,
        percent,
        ...why,
      };
    case 'verifying':
      return { kind: 'busy', label: 'Verifying', detail: bytes, percent };
    case 'checking':
      return { kind: 'busy', label: 'Checking what is stored', percent };
    case 'waiting':
    case 'downloading':
      return {
        kind: 'busy',
        label: source === 'file' ? 'Copying' : 'Downloading',
        detail: formatProgress(work),
        percent,
      };
  }
}

/** The first is what a person most likely wants. @param chatModel id of the model that the chat uses */
export function actionsOf(model: ModelStatus, chatModel: string | undefined): Action[] {
  const { files, state, capabilities, source } = model;
  const work = workOf(model);
  if (work !== undefined) {
    if (work.state === 'verifying' || source === 'file') return [];
    return [work.state === 'paused' ? 'resume' : 'pause', 'cancel'];
  }
  if (state === 'loading') return ['unload'];
  const chats = capabilities.includes('chat') && model.id !== chatModel;
  const keep: Action = files.pinned ? 'unpin' : 'pin';
  if (files.state === 'complete') {
    const memory: Action[] = state === 'loaded' ? ['unload'] : chats ? [] : ['load'];
    return [...(chats ? (['chat'] as const) : []), ...memory, keep, 'verify', 'save', 'remove'];
  }
  if (files.state === 'absent') return ['download', 'space', ...(source === 'site' ? [] : (['remove'] as const))];
  return ['resume', 'remove'];
}

const SOURCES: Record<ModelStatus['source'], string> = {
  site: 'from this site',
  url: 'from a URL',
  hub: 'from a hub',
  file: 'from your disk',
};

const CAPABILITIES: Record<string, string> = {
  chat: 'chat',
  completion: 'text',
  embedding: 'embeddings',
  rerank: 'reranking',
  vision: 'images',
  audio: 'sound',
  speech: 'speech',
  tools: 'tools',
};

/** `98.4 MB · chat, text · from this site · by Hugging Face`; the licence is a link of its own. */
export function describeKind({ size, capabilities, source, authors }: ModelStatus): string {
  const can = capabilities.map((capability) => CAPABILITIES[capability] ?? capability).join(', ');
  const by = authors === 'unknown' ? [] : [`by ${authors}`];
  return [formatBytes(size), can, SOURCES[source], ...by].join(' · ');
}

/** Whether the model fits this device, with the numbers. */
export function describeSpace({ disk, memory }: SpaceReport): { fits: boolean; text: string } {
  const free = disk.free === null ? 'the browser doesn’t say how much is free' : `${formatBytes(disk.free)} free`;
  const available = memory.available === null ? '' : `; ${formatBytes(memory.available)} can be used on this device`;
  const text =
    `Disk: ${formatBytes(disk.missing)} to download, ${free}. ` +
    `Memory: ${formatBytes(memory.total)} with ${memory.contextLength} tokens of context${available}.`;
  const wrong = [
    ...(disk.enough ? [] : ['There is not enough space: delete a model, or free some disk space.']),
    ...(memory.enough ? [] : ['It may not fit into memory: choose a smaller model.']),
  ];
  return { fits: wrong.length === 0, text: [text, ...wrong].join(' ') };
}

/** The result of a check, or of a repair. */
export function describeReport({ ok, checked, bad }: VerifyReport, repaired: boolean): string {
  if (ok && bad.length === 0) return `All ${formatBytes(checked)} are intact.`;
  const [first] = bad;
  const parts = bad.length === 1 ? 'One part was' : `${bad.length} parts were`;
  const where = first ? `: ${first.file}, part ${first.part} of ${first.of}: ${first.reason}` : '';
  return repaired
    ? `${parts} damaged or missing, and downloaded again. The model is complete.`
    : `${parts} damaged or missing${where}`;
}

/** The default model first, then those that are stored, then the rest. */
export function sortModels(models: readonly ModelStatus[]): ModelStatus[] {
  const rank = ({ default: isDefault, files, source }: ModelStatus) =>
    (isDefault ? 0 : 4) + (files.state === 'complete' ? 0 : 2) + (source === 'site' ? 1 : 0);
  return models.toSorted((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}
