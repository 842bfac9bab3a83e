import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { embeddedModels, embeddedNames, findEmbedded } from './embedded.ts';

const models = embeddedModels(import.meta.dirname);

test('are those of the package, by id or alias', () => {
  expect(models.map(({ model }) => model.id)).toEqual(['smollm2-135m-instruct', 'all-minilm-l6-v2']);
  expect(findEmbedded('smollm2-135m-instruct', import.meta.dirname)?.model.id).toBe('smollm2-135m-instruct');
  expect(findEmbedded('gpt-9', import.meta.dirname)).toBeNull();
  expect(embeddedNames(import.meta.dirname)).toBe('By their ids there are: smollm2-135m-instruct, all-minilm-l6-v2.');
});

test.each(models)('$model.id: all that it needs is in the package', ({ model, folder, files }) => {
  const pieces = model.files.flatMap(({ pieces }) => pieces.map(({ url }) => url));
  expect(files).toEqual(expect.arrayContaining([...pieces, `${model.id}/LICENSE.txt`]));
  expect(files.filter((file) => !existsSync(join(folder, file)))).toEqual([]);
  expect(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).files).toContain(model.id);
});
