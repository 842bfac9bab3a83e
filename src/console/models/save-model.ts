/** Saves a model to the visitor's disk: to a file that they choose or, if the browser can't offer that, as a download. */
import type { ModelStatus, Server } from '../../index.ts';

interface FilePicker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;
}

/** @returns false if the visitor chose no file */
export async function saveModel(server: Server, { id, files }: ModelStatus): Promise<boolean> {
  const [only] = files.names;
  // A single file is saved as it is, several as an archive.
  const file = files.names.length === 1 ? only : undefined;
  const suggestedName = file ?? `${id.replace(/[^A-Za-z0-9._-]+/g, '-')}.tar`;
  const { showSaveFilePicker } = globalThis as FilePicker;
  if (showSaveFilePicker === undefined) {
    const query = new URLSearchParams(file === undefined ? { model: id } : { model: id, file });
    const link = document.createElement('a');
    // The service worker answers it. With the attribute `download`, Chromium would ask the network.
    link.href = `${server.baseURL}/models/export?${query}`;
    link.click();
    return true;
  }
  let handle: FileSystemFileHandle;
  try {
    handle = await showSaveFilePicker.call(globalThis, { suggestedName });
  } catch {
    return false;
  }
  const { body } = await server.models.export(id, file === undefined ? {} : { file });
  await body?.pipeTo(await handle.createWritable());
  return true;
}
