/** What docs/getting-started.md tells somebody to do who has nothing, done from the packed tarball. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { build, createServer } from 'vite';
import { expect, test } from './support/fixtures.ts';
import { installPacked, llamatab, newSite } from './support/packed.ts';
import { path } from './support/paths.ts';
import { startHost, untilKept } from './support/static-hosts.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';

const [GUIDE = ''] = readFileSync(path('docs/getting-started.md'), 'utf8').split('\n## Then\n');
const blocks = (language: string) =>
  [...GUIDE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code = '']) => code);
const COMMANDS = blocks('sh').flatMap((code) => code.trim().split('\n'));
const [SCRIPT = ''] = blocks('js');

/** As `npm create vite` leaves it, but for its pictures. */
const VANILLA = {
  'package.json': JSON.stringify({ name: 'my-site', private: true, type: 'module', devDependencies: { vite: '*' } }),
  'index.html':
    '<!doctype html>\n<meta charset="utf-8">\n<div id="app"></div>\n<script type="module" src="/src/main.js"></script>\n',
  'src/main.js': "document.querySelector('#app').innerHTML = '<h1>Hello Vite!</h1>';\n",
};

test.beforeAll(installPacked);

/** Vite as its command runs it: the site's own configuration, in a process whose folder is the site's. */
const vite = (cwd: string, ...args: string[]) =>
  execFileSync(process.execPath, [path('node_modules/vite/bin/vite.js'), ...args, '--logLevel', 'warn'], { cwd });

/** Of the real model, on a machine that may be busy. */
const answer = (page: Page) => expect(page.locator('body')).toContainText('is Paris', { timeout: 120_000 });

test('the README says the same in short', () => {
  const readme = readFileSync(path('README.md'), 'utf8');
  expect(SCRIPT).toContain("from 'llamatab'");
  expect(readme).toContain(SCRIPT);
  expect(COMMANDS.filter((command) => !command.startsWith('npm run ') && !readme.includes(command))).toEqual([]);
});

test('a new Vite site answers with the embedded model, and again without a network', async ({ page, context }) => {
  test.setTimeout(420_000);
  const site = newSite('my-site', VANILLA);
  const ours = COMMANDS.filter((command) => command.startsWith('npx llamatab '));
  expect(ours).toHaveLength(2);
  for (const command of ours) llamatab(site, ...command.split(' ').slice(2));
  appendFileSync(join(site, 'src/main.js'), SCRIPT);
  expect(COMMANDS).toContain('npm run build');
  vite(site, 'build');
  // All of it once more is harmless.
  for (const command of ours) llamatab(site, ...command.split(' ').slice(2));

  const host = await startHost(join(site, 'dist'), { missing: 404 });
  await page.goto(host.url);
  await answer(page);
  await page.reload();
  await answer(page);
  await untilKept(page);
  await host.stop();
  await context.setOffline(true);
  await page.reload();
  await answer(page);
});

test.describe('the plugin’s option `models`', () => {
  const config = (options: string) =>
    `import { llamatab } from 'llamatab/vite';\nexport default { plugins: [llamatab(${options})] };\n`;
  const files = {
    ...VANILLA,
    'vite.config.js': config("{ models: [{ source: './tiny.gguf', id: 'mine' }], leaveOut: ['compat'] }"),
    'tiny.gguf': tinyModel(),
    'src/main.js':
      "import { serve } from 'llamatab';\nglobalThis.server = await serve();\nawait server.models.load();\ndocument.title = 'loaded';\n",
  };
  const loaded = async (page: Page, url: string) => {
    await page.goto(url);
    await expect(page).toHaveTitle('loaded');
    return page.evaluate(async () => (await server.models.list()).map(({ id, state }) => [id, state]));
  };

  test('serves them in development, and puts them into the site that is built, without the builds left out', async ({
    page,
  }) => {
    const site = newSite('with-models', files);
    const development = await createServer({ root: site, logLevel: 'warn', server: { port: 0, host: 'localhost' } });
    await development.listen();
    expect(await loaded(page, development.resolvedUrls?.local[0] ?? '')).toEqual([['mine', 'loaded']]);
    await development.close();

    await build({ root: site, logLevel: 'warn' });
    expect(readdirSync(join(site, 'dist/models/mine'))).toEqual(['tiny.gguf']);
    expect(readdirSync(join(site, 'dist/llamatab')).filter((name) => name.includes('compat'))).toEqual([]);
    const host = await startHost(join(site, 'dist'), { missing: 404 });
    expect(await loaded(page, host.url)).toEqual([['mine', 'loaded']]);
    await host.stop();
  });

  test('beside a catalog of the site’s own is refused', async () => {
    const site = newSite('two-catalogs', { ...files, 'public/models/catalog.json': '{}' });
    await expect(build({ root: site, logLevel: 'silent' })).rejects.toThrow(
      /llamatab\(\{ models \}\).*catalog\.json.*leave out one/,
    );
    expect(existsSync(join(site, 'dist'))).toBe(false);
  });
});
