import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cutIntoPieces, excerptOf, headingsOf, plain, readDocsPlace, readPages, resolveLink, slugOf } from './pages.ts';

const root = new URL('../../../', import.meta.url);
const files = ['README.md', ...readdirSync(new URL('docs/', root)).map((name) => `docs/${name}`)];
const texts = Object.fromEntries(
  files.filter((name) => name.endsWith('.md')).map((name) => [name, readFileSync(new URL(name, root), 'utf8')]),
);
const pages = readPages(texts);

describe('pages', () => {
  it('are in the order in which one reads them, what is not named last', () => {
    const some = readPages({ 'docs/zoo.md': '# The zoo', 'docs/api.md': '# `API`', 'README.md': '# llamatab' });
    expect(some.map(({ name, title }) => [name, title])).toEqual([
      ['readme', 'Introduction'],
      ['api', 'API'],
      ['zoo', 'The zoo'],
    ]);
  });

  it('have headings with GitHub’s addresses', () => {
    expect(slugOf('`serve(options?)`')).toBe('serveoptions');
    expect(slugOf("llama-server's own shape")).toBe('llama-servers-own-shape');
    const [page] = readPages({ 'a.md': '# A\n\n```sh\n# no heading\n```\n\n## B [c](d)\n' });
    expect(page && headingsOf(page)).toEqual([
      { depth: 1, text: 'A', slug: 'a' },
      { depth: 2, text: 'B [c](d)', slug: 'b-c' },
    ]);
    expect(plain('B [c](d) `e`')).toBe('B c e');
  });

  it('are shown in excerpts without marks', () => {
    expect(excerptOf({ text: '```sh\nnpx llamatab init\n```\n\n- It *puts* it there.' })).toBe(
      'npx llamatab init It puts it there.',
    );
    expect(excerptOf({ text: '| a 401 | `serve()` |\n|---|---|\n| slow | one thread |' })).toBe(
      'a 401 · serve() · slow · one thread',
    );
    expect(excerptOf({ text: 'long '.repeat(100) })).toMatch(/^(long ){48}…$/);
  });

  it('link to one another', () => {
    expect(resolveLink('api.md#tools', 'models', pages)).toBe('#api/tools');
    expect(resolveLink('docs/api.md', 'readme', pages)).toBe('#api');
    expect(resolveLink('../README.md', 'api', pages)).toBe('#readme');
    expect(resolveLink('#errors', 'api', pages)).toBe('#api/errors');
    expect(resolveLink('https://a.b/', 'api', pages)).toBe('https://a.b/');
    expect(resolveLink('../src/engine/tuner.ts', 'api', pages)).toBeNull();
    expect(readDocsPlace('#api/tools')).toEqual({ name: 'api', slug: 'tools' });
    expect(readDocsPlace('')).toEqual({ name: '', slug: '' });
  });

  it('of this project: each link to a heading leads to one', () => {
    const addresses = new Set(pages.flatMap((page) => headingsOf(page).map(({ slug }) => `#${page.name}/${slug}`)));
    const lost = pages.flatMap(({ name, text }) =>
      [...text.matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, href = '']) => resolveLink(href, name, pages))
        .filter((target) => target?.startsWith('#') && target.includes('/') && !addresses.has(target))
        .map((target) => `${name}: ${target}`),
    );
    expect(lost).toEqual([]);
  });
});

describe('pieces', () => {
  const pieces = cutIntoPieces(pages);

  it('hold all of the text, each below its heading and short enough to be embedded', () => {
    expect(Math.max(...pieces.map(({ text }) => text.length))).toBeLessThanOrEqual(1000);
    const letters = (text: string) => text.replaceAll(/\s/g, '');
    for (const { name, text } of pages) {
      const own = pieces.filter(({ page }) => page === name).map((piece) => piece.text);
      // Whatever stands in a page is in its pieces, but for the headings, which are their titles.
      const lines = text.split('\n').filter((line) => line.trim() !== '' && !/^#{1,4} /.test(line));
      const whole = letters(own.join(''));
      expect(lines.filter((line) => !whole.includes(letters(line)))).toEqual([]);
    }
  });

  it('know where they stand', () => {
    expect(pieces).toContainEqual(expect.objectContaining({ page: 'api', slug: 'tools', title: 'API › Tools' }));
  });
});
