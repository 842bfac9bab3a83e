/** The GGUF header of a model of the store, wherever its bytes are. */
import { LlamatabError } from '../errors.ts';
import { type GgufHeader, readGgufHeader } from '../gguf/header.ts';
import type { ByteSource } from '../gguf/reader.ts';
import { sizeOf } from './housekeeping.ts';
import type { CatalogModel } from './models.ts';
import { openRemoteFile } from './remote-file.ts';
import type { StoreContext } from './store-context.ts';
import { assemble } from './stored-files.ts';

/** The header of the model's first file: from its stored parts, or by ranges from its server if some are missing. */
export async function readModelHeader(
  context: StoreContext,
  model: CatalogModel,
  signal?: AbortSignal,
): Promise<GgufHeader> {
  const [file] = context.layoutOf(model).files;
  if (file === undefined) throw new LlamatabError('server_error', `The model ${model.id} has no files.`);
  const name = `${model.id}: ${file.name}`;
  const stored = await context.parts.stored(file.parts);
  const [blob] = (await assemble(context, { files: [file], parts: file.parts }, stored)) ?? [];
  if (blob !== undefined) return readGgufHeader(blob, name);
  const pieces = file.pieces.map(({ url, size }) =>
    openRemoteFile(url, { fetch: context.fetch, headers: context.tokens.headersFor(url), size, signal }),
  );
  return readGgufHeader(joinSources(await Promise.all(pieces)), name);
}

/** Sources one after another. */
function joinSources(sources: readonly ByteSource[]): ByteSource {
  const read = async (start: number, end: number): Promise<ArrayBuffer> => {
    const bytes = new Uint8Array(Math.max(0, end - start));
    let at = 0;
    for (const source of sources) {
      const from = Math.max(start, at);
      const to = Math.min(end, at + source.size);
      if (from < to) bytes.set(new Uint8Array(await source.slice(from - at, to - at).arrayBuffer()), from - start);
      at += source.size;
    }
    return bytes.buffer;
  };
  return { size: sizeOf(sources), slice: (start, end) => ({ arrayBuffer: () => read(start, end) }) };
}
