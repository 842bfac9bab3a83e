import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseCatalog } from '../../src/models/catalog.ts';
import { writeTinyModels } from './write-tiny-models.ts';

test('writes a valid catalog, and pieces that add up to the models', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tiny-models-'));
  try {
    const written = await writeTinyModels(folder);
    const catalog = parseCatalog(
      await readFile(join(folder, 'catalog.json'), 'utf8'),
      'https://site.example/models/catalog.json',
    );
    expect(catalog).toEqual(written);
    expect(catalog.default).toBe('tiny');
    expect(catalog.models.map((model) => model.id)).toEqual(['tiny', 'tiny-2']);
    const pieces = catalog.models.flatMap((model) => model.files.flatMap((file) => file.pieces));
    expect((await readdir(folder)).sort()).toEqual(['catalog.json', ...pieces.map((piece) => piece.url)].sort());
    for (const piece of pieces) expect((await readFile(join(folder, piece.url))).length).toBe(piece.size);
  } finally {
    await rm(folder, { recursive: true });
  }
});
