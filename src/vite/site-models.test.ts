import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tinyModel } from '../../test/tiny-model/tiny-model.ts';
import type { Catalog } from '../models/models.ts';
import { prepareModels, type SiteModel } from './site-models.ts';

let root: string;
const prepare = async (...models: (string | SiteModel)[]) => {
  const lines: string[] = [];
  const { catalog, files } = await prepareModels(models, { root, cacheDir: join(root, 'cache') }, (line) =>
    lines.push(line),
  );
  return { catalog: JSON.parse(catalog ?? '') as Catalog, files, lines };
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'llamatab-models-'));
  writeFileSync(join(root, 'mine.gguf'), tinyModel());
});
afterEach(() => rmSync(root, { recursive: true }));

test('a file is described, cut and hashed once, and again when it has changed', async () => {
  const first = await prepare({ source: 'mine.gguf', id: 'tiny', aliases: ['t'], license: 'MIT' });
  expect(first.catalog).toMatchObject({
    version: 1,
    default: 'tiny',
    models: [{ id: 'tiny', aliases: ['t'], license: 'MIT', files: [{ name: 'mine.gguf' }] }],
  });
  expect([...first.files.keys()]).toEqual(['models/tiny/mine.gguf']);
  expect(readFileSync(first.files.get('models/tiny/mine.gguf') ?? '').equals(tinyModel())).toBe(true);
  expect(first.lines.join('\n')).toContain("Added 'tiny'");

  const again = await prepare({ source: 'mine.gguf', id: 'tiny', aliases: ['t'], license: 'MIT' });
  expect(again).toEqual({ ...first, lines: [] });
  writeFileSync(join(root, 'mine.gguf'), tinyModel({ seed: 2 }));
  expect((await prepare('mine.gguf')).lines).not.toEqual([]);
});

test('a model of the package llamatab-models is served from there, the first one being the default', async () => {
  const folder = join(root, 'node_modules/llamatab-models');
  mkdirSync(join(folder, 'small'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'llamatab-models' }));
  const model = { id: 'small', aliases: ['s'], files: [{ name: 'm.gguf', pieces: [{ url: 'small/m.gguf' }] }] };
  writeFileSync(join(folder, 'catalog.json'), JSON.stringify({ version: 1, default: 'small', models: [model] }));
  for (const file of ['m.gguf', 'LICENSE.txt']) writeFileSync(join(folder, 'small', file), file);

  const { catalog, files } = await prepare('s', 'mine.gguf');
  expect(catalog.default).toBe('small');
  expect(catalog.models.map(({ id }) => id)).toEqual(['small', 'mine']);
  expect([...files.keys()].sort()).toEqual([
    'models/mine/mine.gguf',
    'models/small/LICENSE.txt',
    'models/small/m.gguf',
  ]);
  expect(readdirSync(join(root, 'cache'))).toHaveLength(1);
});

test('what is not there is told, with what there is', async () => {
  await expect(prepare('nothing')).rejects.toThrow(/no file nothing.*smollm2-135m-instruct/);
});
