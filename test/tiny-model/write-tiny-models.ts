/** Puts tiny models and their catalog into a folder, for tests in browsers to be served from. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Capability, Catalog, CatalogFile, CatalogModel } from '../../src/models/models.ts';
import { CONTEXT_LENGTH, type TinyModelOptions, tinyModel } from './tiny-model.ts';
import { tinyEar, tinyEye } from './tiny-projector.ts';
import { type POOLING, TINY_BERT_CONTEXT, tinyReranker } from './tiny-reranker.ts';
import { tinyMouth, tinySpeaker } from './tiny-speaker.ts';

/** Bytes: small enough that a model of 1 MB comes in several pieces. */
const PIECE_SIZE = 400_000;

/**
 * Writes `catalog.json` and, cut into pieces, one model for each entry of `models`.
 *
 * @param folder Made if it is not there.
 * @param models Options by model id. The first one is the default model.
 */
export async function writeTinyModels(
  folder: string,
  models: Readonly<Record<string, TinyModelOptions>> = { tiny: {}, 'tiny-2': { seed: 2 } },
): Promise<Catalog> {
  await mkdir(folder, { recursive: true });
  const entries: CatalogModel[] = [];
  for (const [id, options] of Object.entries(models)) {
    const { model, files } = tinyCatalogModel(id, options);
    entries.push(model);
    for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
  }
  const catalog: Catalog = { version: 1, default: Object.keys(models)[0] ?? '', models: entries };
  await writeFile(join(folder, 'catalog.json'), JSON.stringify(catalog, null, 2));
  return catalog;
}

export type Sense = 'vision' | 'audio';

const PROJECTORS = { vision: tinyEye, audio: tinyEar };

export interface TinyCatalogOptions extends TinyModelOptions {
  /** It has a projector too. */
  sense?: Sense;
  /** A BERT in place of a model that generates: for embeddings, or a reranker. */
  pooling?: keyof typeof POOLING;
  /** A model that speaks in place of one that writes. */
  speaks?: boolean;
  /** A model that drafts for it, or a GGUF. */
  draft?: TinyModelOptions | Uint8Array<ArrayBuffer>;
}

/** A tiny model's entry in a catalog, and the pieces by the URL that it gives them. */
export function tinyCatalogModel(
  id: string,
  given: TinyCatalogOptions = {},
): { model: CatalogModel; files: Map<string, Uint8Array<ArrayBuffer>> } {
  const { sense, pooling, speaks = false, draft, ...options } = given;
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const fileOf = (name: string, bytes: Uint8Array<ArrayBuffer>): CatalogFile => {
    const count = Math.ceil(bytes.length / PIECE_SIZE);
    const pieces = Array.from({ length: count }, (_, i) => {
      const piece = bytes.slice(i * PIECE_SIZE, (i + 1) * PIECE_SIZE);
      const url = `${name}.part${i + 1}of${count}`;
      files.set(url, piece);
      return { url, size: piece.length, sha256: sha256(piece) };
    });
    return { name, size: bytes.length, sha256: sha256(bytes), pieces };
  };
  const projector = speaks ? tinyMouth() : sense && PROJECTORS[sense]();
  const model: CatalogModel = {
    id,
    files: [
      fileOf(`${id}.gguf`, speaks ? tinySpeaker() : pooling ? tinyReranker(pooling) : tinyModel(options)),
      ...(projector ? [fileOf(`${id}.mmproj.gguf`, projector)] : []),
      ...(draft ? [fileOf(`${id}.draft.gguf`, draft instanceof Uint8Array ? draft : tinyModel(draft))] : []),
    ],
    ...(draft ? { draft: `${id}.draft.gguf` } : {}),
    capabilities: capabilitiesOf(given),
    contextLength: pooling ? TINY_BERT_CONTEXT : (options.contextLength ?? CONTEXT_LENGTH),
    name: `Tiny model for tests (${id})`,
    authors: 'llamatab',
    license: 'MIT',
  };
  return { model, files };
}

function capabilitiesOf({ pooling, sense, speaks, embeds }: TinyCatalogOptions): Capability[] {
  if (speaks) return ['speech'];
  if (pooling) return [pooling === 'rank' ? 'rerank' : 'embedding'];
  return [...(embeds ? ['embedding' as const] : ['chat' as const, 'completion' as const]), ...(sense ? [sense] : [])];
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
