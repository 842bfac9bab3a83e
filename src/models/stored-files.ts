/** Makes a model's files of its stored parts. */
import { LlamatabError } from '../errors.ts';
import { readGgufHeader } from '../gguf/header.ts';
import { BytesGone } from './download-parts.ts';
import { LazyFile } from './lazy-file.ts';
import type { CatalogModel } from './models.ts';
import type { StoredPart } from './part-storage.ts';
import type { PartsLayout } from './parts-layout.ts';
import { isComplete, ofLayout } from './records.ts';
import type { StoreContext } from './store-context.ts';

export interface StoredModel {
  files: File[];
  /** Every part, by its key. */
  parts: Map<string, StoredPart>;
}

/** The files of a model that is complete; undefined if it is not, or if some of its bytes are gone. */
export async function openComplete(context: StoreContext, model: CatalogModel): Promise<StoredModel | undefined> {
  const layout = context.layoutOf(model);
  const record = await context.records.get(context.keyOf(model));
  if (!isComplete(record, layout)) return undefined;
  const hashes = record.complete;
  const parts = new Map(layout.parts.map(({ key, size }, i) => [key, { sha256: hashes[i] ?? '', size }]));
  const files = await assemble(context, layout, parts);
  return files && { files, parts };
}

/** The files of the layout. They are lazy: a stored part is read when its file is. Undefined if a part is missing. */
export async function assemble(
  context: StoreContext,
  layout: Pick<PartsLayout, 'files' | 'parts'>,
  stored: Map<string, StoredPart>,
): Promise<File[] | undefined> {
  const blobs = new Map<string, Blob>();
  await Promise.all(
    layout.parts.map(async ({ key }) => {
      const part = stored.get(key);
      const blob = part && (await context.parts.get(part));
      if (blob !== undefined) blobs.set(key, blob);
    }),
  );
  if (blobs.size < layout.parts.length) return undefined;
  return layout.files.map(({ name, parts }) =>
    LazyFile.join(
      parts.map(({ key }) => blobs.get(key) as Blob),
      name,
    ),
  );
}

/** Checks what only shows once all parts are there, then records the model as complete. */
export async function complete(
  context: StoreContext,
  model: CatalogModel,
  parts: Map<string, StoredPart>,
): Promise<File[]> {
  const layout = context.layoutOf(model);
  const files = await assemble(context, layout, parts);
  if (files === undefined) throw new BytesGone(model.id);
  await checkFiles(model, layout, files);
  const complete = layout.parts.map((part) => parts.get(part.key)?.sha256 ?? '');
  const lastUsed = context.now();
  await context.housekeeping.change(context.keyOf(model), ({ error: _, ...record }) => ({
    ...record,
    ...ofLayout(layout),
    complete,
    lastUsed,
  }));
  return files;
}

/** Keeps garbage and truncated files away from the engine, which would take some of them for models. */
export async function checkFiles(model: CatalogModel, layout: PartsLayout, files: readonly File[]): Promise<void> {
  const published = layout.parts.every((part) => part.sha256 !== undefined) || layout.hashes.length > 0;
  const remedy = published
    ? 'Its bytes are those that the catalog names, so it was published like that: replace it and update the catalog.'
    : 'It came like that from its server: delete the model, check the address, and add it again.';
  await Promise.all(
    files.map(async (file) => {
      try {
        await readGgufHeader(file, `${model.id}: ${file.name}`);
      } catch (error) {
        if (!(error instanceof LlamatabError)) throw LlamatabError.from(error);
        throw new LlamatabError(error.type, `${error.message} ${remedy}`, { cause: error });
      }
    }),
  );
}
