import { expect, test } from 'vitest';
import type { CatalogFile, CatalogModel, CatalogPiece } from './models.ts';
import { layOutParts, PART_SIZE } from './parts-layout.ts';

const BASE = 'https://site.example/models/catalog.json';
const HASH = (digit: string) => digit.repeat(64);

function model(...files: CatalogFile[]): CatalogModel {
  return {
    id: 'm',
    files,
    capabilities: ['chat'],
    contextLength: 2048,
    name: 'M',
    authors: 'A',
    license: 'MIT',
  };
}

function file(pieces: CatalogPiece[], sha256?: string): CatalogFile {
  const size = pieces.reduce((sum, piece) => sum + piece.size, 0);
  return { name: 'm.gguf', size, pieces, ...(sha256 ? { sha256 } : {}) };
}

test('a small piece is one part, under its own hash', () => {
  const layout = layOutParts(
    model(
      file([
        { url: 'a', size: 10, sha256: HASH('a') },
        { url: 'b', size: 5, sha256: HASH('b') },
      ]),
    ),
    BASE,
  );
  expect(layout.parts).toMatchObject([
    { key: HASH('a'), sha256: HASH('a'), start: 0, size: 10, label: 'm: m.gguf, part 1 of 2' },
    { key: HASH('b'), sha256: HASH('b'), start: 0, size: 5, label: 'm: m.gguf, part 2 of 2' },
  ]);
  expect(layout.parts[0]?.piece.url).toBe('https://site.example/models/a');
  expect(layout).toMatchObject({ total: 15, hashes: [] });
});

test('a long piece is cut; its parts cover it without gap or overlap', () => {
  for (const size of [PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 5 * PART_SIZE, 5 * PART_SIZE + 77]) {
    const { parts, total } = layOutParts(model(file([{ url: 'a', size, sha256: HASH('a') }])), BASE);
    let at = 0;
    for (const part of parts) {
      expect(part.start).toBe(at);
      expect(part.size).toBeGreaterThan(0);
      expect(part.size).toBeLessThanOrEqual(PART_SIZE);
      at += part.size;
    }
    expect(at).toBe(size);
    expect(total).toBe(size);
    expect(new Set(parts.map((part) => part.key)).size).toBe(parts.length);
  }
});

test('with the hash of each part, parts are checked alone; else all together', () => {
  const piece = { url: 'a', size: 2 * PART_SIZE, sha256: HASH('a') };
  const alone = layOutParts(model(file([{ ...piece, parts: [HASH('1'), HASH('2')] }], HASH('a'))), BASE);
  expect(alone.parts.map((part) => part.sha256)).toEqual([HASH('1'), HASH('2')]);
  expect(alone.hashes).toEqual([]);
  const together = layOutParts(model(file([piece], HASH('a'))), BASE);
  expect(together.parts.map((part) => part.sha256)).toEqual([undefined, undefined]);
  expect(together.hashes).toMatchObject([{ sha256: HASH('a'), label: 'm: m.gguf' }]);
  expect(together.hashes[0]?.parts).toEqual(together.parts);
});

test("the file's hash counts where its pieces have none", () => {
  const single = layOutParts(model(file([{ url: 'a', size: 10 }], HASH('f'))), BASE);
  expect(single.parts).toMatchObject([{ key: HASH('f'), sha256: HASH('f') }]);
  expect(single.hashes).toEqual([]);
  const several = layOutParts(
    model(
      file(
        [
          { url: 'a', size: 10 },
          { url: 'b', size: 10 },
        ],
        HASH('f'),
      ),
    ),
    BASE,
  );
  expect(several.hashes).toMatchObject([{ sha256: HASH('f') }]);
  expect(several.hashes[0]?.parts).toHaveLength(2);
});

test('what has no hash is known by its address and size', () => {
  const at = (url: string, size: number) => layOutParts(model(file([{ url, size }])), BASE).fingerprint;
  expect(at('a', 10)).toBe(at('https://site.example/models/a', 10));
  expect(at('a', 10)).not.toBe(at('a', 11));
  expect(at('a', 10)).not.toBe(at('b', 10));
});

test('the same stretch twice is one part to download', () => {
  const zeros = { url: 'z', size: 10, sha256: HASH('0') };
  const layout = layOutParts(model(file([zeros, { url: 'a', size: 1, sha256: HASH('a') }, zeros])), BASE);
  expect(layout.parts).toHaveLength(2);
  expect(layout.total).toBe(11);
  expect(layout.files[0]?.parts).toHaveLength(3);
});
