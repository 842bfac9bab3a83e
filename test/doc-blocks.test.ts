/** What the README and docs/ tell people to type: code has no type error, JSON can be read, commands exist. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { type DocBlock, docBlocks } from './support/doc-blocks.ts';
import { path } from './support/paths.ts';

const blocks = docBlocks();
const inLanguage = (...languages: string[]) => blocks.filter(({ language }) => languages.includes(language));

/** What a snippet takes as given: the text around it says what that is. */
const GIVEN = `
import type OpenAI from 'openai';
import type { Server } from 'llamatab';
import type { llamatab as plugin } from 'llamatab/vite';

declare global {
  const server: Server;
  const serve: typeof import('llamatab').serve;
  const llamatab: typeof plugin;
  const openai: OpenAI;
  const messages: OpenAI.ChatCompletionMessageParam[];
  const file: File;
  const id: string;
  function importScripts(...urls: string[]): void;
  function showSaveFilePicker(options: object): Promise<FileSystemFileHandle>;
}
`;

test('TypeScript and JavaScript have no type error', () => {
  const folder = path('dist/doc-blocks');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'given.d.ts'), GIVEN);
  const typed = inLanguage('ts', 'tsx', 'js', 'jsx');
  expect(typed.length).toBeGreaterThan(5);
  for (const { at, language, code } of typed) {
    const name = `${at.replaceAll(/\W/g, '-')}.${language}`;
    // The site has the client at an address, of which TypeScript can't be told anything.
    const source = code.replace("'/examples/openai.js'", "'openai'");
    // A module, whether or not it imports anything, so that it may await.
    writeFileSync(join(folder, name), `${source}\nexport {};\n`);
  }
  const config = {
    extends: path('src/page/tsconfig.json'),
    compilerOptions: {
      allowJs: true,
      checkJs: true,
      // What nothing says the type of is any in JavaScript; of what is null at times it says nothing.
      noImplicitAny: false,
      strictNullChecks: false,
      exactOptionalPropertyTypes: false,
      noUnusedLocals: false,
      types: ['node'],
      paths: { llamatab: [path('src/index.ts')], 'llamatab/vite': [path('src/vite/plugin.ts')] },
    },
    include: ['.', path('src/globals.d.ts')],
    exclude: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = path('node_modules/typescript/bin/tsc');
  const { stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
  expect(`${stdout}${stderr}`.trim()).toBe('');
}, 60_000);

test.each(inLanguage('json'))('JSON at $at can be read', ({ code }) => {
  expect(() => JSON.parse(code)).not.toThrow();
});

/** Commands that are not ours: what is there wherever Node and a shell are, and a host's own. */
const COMMON = new Set([
  'aws',
  'cd',
  'cp',
  'curl',
  'git',
  'mkdir',
  'mv',
  'npx',
  'python3',
  'node',
  'npm',
  'rm',
  'sudo',
]);
/** Packages that `npx` and `npm create` may name: ours, those of this repository, and what makes a new site. */
const PACKAGES = new Set(['llamatab', 'vite', ...Object.keys(packageJson.devDependencies)]);
const BUILT_IN = new Set(['test', 'start', 'install', 'i', 'ci', 'create', 'init', 'pack', 'run', 'exec']);

test.each(inLanguage('sh', 'bash', 'shell'))('commands at $at exist', ({ code }) => {
  for (const line of commandsOf(code)) {
    const [command = '', ...words] = line.replace(/^(?:\w+=\S+ )+/, '').split(/\s+/);
    const named = words.filter((word) => !word.startsWith('-'));
    if (command === 'npm') checkNpm(named, line);
    else if (command === 'npx') checkNpx(named, line);
    else expect(COMMON, line).toContain(command);
  }
});

/** One a line, without what is answered, commented or continued. */
function commandsOf(code: DocBlock['code']): string[] {
  return code
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .flatMap((line) =>
      line
        .replace(/^\$ /, '')
        .replace(/(?:^|\s)#.*$/, '')
        .split(/\s+&&\s+|\s*;\s*/),
    )
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function checkNpm([verb = '', script = '']: string[], line: string): void {
  expect(BUILT_IN, line).toContain(verb);
  const name = verb === 'run' ? script : ['test', 'start'].includes(verb) ? verb : null;
  // `dev`, `build` and `preview` are those of a new Vite site, too.
  if (name !== null && !['dev', 'build', 'preview'].includes(name)) {
    expect(Object.keys(packageJson.scripts), line).toContain(name);
  }
}

function checkNpx([name = '', ...words]: string[], line: string): void {
  expect(PACKAGES, line).toContain(name.replace(/@[\d.^~]+$|@latest$/, ''));
  if (name !== 'llamatab') return;
  // The command's own help knows it.
  const help = readFileSync(path('src/cli/llamatab.ts'), 'utf8');
  const command = words.filter((word) => /^[a-z]+$/.test(word)).slice(0, words[0] === 'catalog' ? 2 : 1);
  expect(help, line).toMatch(new RegExp(`llamatab ${command.join(' ')}\\b`));
}

test('files that the README links to are there', () => {
  const links = [...readFileSync(path('README.md'), 'utf8').matchAll(/\]\(([^)#\s]+)/g)].map(([, href = '']) => href);
  expect(links.filter((href) => !/^https?:/.test(href) && !existsSync(path(href)))).toEqual([]);
});
