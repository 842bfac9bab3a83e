/** The examples in doc comments are typed as what they are: code of a user's. `doc-examples.spec.ts` runs them. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { docExamples } from './support/doc-examples.ts';
import { path } from './support/paths.ts';

test('each is found, and has no type error', () => {
  const examples = docExamples();
  expect(examples.map((example) => example.of)).toEqual([
    'LlamatabError',
    'ServeOptions',
    'Server.fetch',
    'Server.subscribe',
    'Models',
    'Models.addFiles',
    'Models.export',
    'serve',
  ]);
  // Within the repository, where packages are found.
  const folder = path('dist/doc-examples');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const example of examples) writeFileSync(join(folder, `${example.of}.ts`), example.code);
  const config = {
    extends: path('src/page/tsconfig.json'),
    compilerOptions: { paths: { llamatab: [path('src/index.ts')] } },
    include: ['.', path('src/globals.d.ts')],
    exclude: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const { stdout, stderr } = spawnSync(process.execPath, [path('node_modules/typescript/bin/tsc'), '-p', folder], {
    encoding: 'utf8',
  });
  expect(`${stdout}${stderr}`.trim()).toBe('');
}, 60_000);
