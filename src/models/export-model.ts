/** Exports a stored model from the browser: file by file, or all of it as one archive. */
import { LlamatabError } from '../errors.ts';
import { writeArchive } from './archive.ts';
import type { CatalogFile, CatalogModel } from './models.ts';
import type { StoreContext } from './store-context.ts';
import { openComplete, type StoredModel } from './stored-files.ts';

export async function exportFiles(context: StoreContext, model: CatalogModel): Promise<File[]> {
  return (await openForExport(context, model)).files;
}

export async function exportArchive(context: StoreContext, model: CatalogModel): Promise<File> {
  const { files, parts } = await openForExport(context, model);
  const layout = context.layoutOf(model);
  const described = model.files.map(({ name, size, sha256 }, i): CatalogFile => {
    const pieces = (layout.files[i]?.pieces ?? []).map((piece) => {
      const hashes = piece.parts.map((part) => parts.get(part.key)?.sha256 ?? '');
      const url = encodeURIComponent(name);
      return { url, size: piece.size, ...(hashes.length === 1 ? { sha256: hashes[0] ?? '' } : { parts: hashes }) };
    });
    return { name, size, ...(sha256 ? { sha256 } : {}), pieces };
  });
  return writeArchive({ ...model, files: described }, files);
}

async function openForExport(context: StoreContext, model: CatalogModel): Promise<StoredModel> {
  const stored = await openComplete(context, model);
  if (stored !== undefined) return stored;
  throw new LlamatabError('invalid_request_error', `${model.id} is not complete on this device: download it first.`, {
    param: 'model',
  });
}
