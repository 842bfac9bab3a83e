import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readArchive, writeArchive } from './archive.ts';
import { LazyFile } from './lazy-file.ts';
import type { CatalogModel } from './models.ts';

const file = (name: string, size: number) => ({ name, size, pieces: [{ url: name, size, sha256: 'a'.repeat(64) }] });
const MODEL: CatalogModel = {
  id: 'o/r:Q4',
  files: [file('m-00001-of-00002.gguf', 1000), file('m-00002-of-00002.gguf', 512)],
  capabilities: ['chat'],
  contextLength: 2048,
  name: 'M',
  authors: 'A',
  license: 'MIT',
  source: { kind: 'url', url: 'https://private.example/key' },
};
const FILES = [new Blob(['x'.repeat(1000)]), new Blob(['y'.repeat(512)])];

test('what is written is read again, without where it came from', async () => {
  const archive = writeArchive(MODEL, FILES);
  expect(archive.name).toBe('o-r-Q4.tar');
  expect(archive.size % 512).toBe(0);
  const read = await readArchive(archive);
  const { source: _, ...described } = MODEL;
  expect(read?.model).toEqual(described);
  expect(await Promise.all(read?.files.map((blob) => blob.text()) ?? [])).toEqual(['x'.repeat(1000), 'y'.repeat(512)]);
});

test('tar takes it apart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'llamatab-archive-'));
  try {
    writeFileSync(join(folder, 'a.tar'), new Uint8Array(await writeArchive(MODEL, FILES).arrayBuffer()));
    execFileSync('tar', ['xf', 'a.tar'], { cwd: folder });
    expect(readFileSync(join(folder, 'm-00001-of-00002.gguf'), 'utf8')).toBe('x'.repeat(1000));
    expect(JSON.parse(readFileSync(join(folder, 'llamatab.json'), 'utf8')).model.id).toBe('o/r:Q4');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('sizes beyond 8 GiB are written and read', async () => {
  const size = 9 * 2 ** 30;
  const huge = new LazyFile([{ size, load: () => Promise.reject(new Error('nobody has that much memory')) }]);
  const read = await readArchive(writeArchive({ ...MODEL, files: [file('huge.gguf', size)] }, [huge]));
  expect(read?.files[0]?.size).toBe(size);
});

test('another file is no archive; a damaged one says so', async () => {
  expect(await readArchive(new Blob(['GGUF']))).toBeNull();
  expect(await readArchive(new Blob([new Uint8Array(2000)]))).toBeNull();
  const archive = writeArchive(MODEL, FILES);
  for (const length of [600, 2000, archive.size - 1024]) {
    await expect(readArchive(archive.slice(0, length)), String(length)).rejects.toThrow(/The export is damaged/);
  }
});
