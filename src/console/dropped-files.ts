/** What was dropped: files, and those of folders, as shards of a model come. */
export async function droppedFiles(data: DataTransfer): Promise<File[]> {
  // Entries are to be had in the event only, files of folders later.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const files = await Promise.all(
    entries.map((entry) => (entry === null ? [] : entry instanceof File ? [entry] : filesOf(entry))),
  );
  return files.flat();
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile)
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // A hundred at a time, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return found;
    found.push(...(await Promise.all(entries.map(filesOf))).flat());
  }
}
