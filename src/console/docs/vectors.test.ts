import 'fake-indexeddb/auto';
import { expect, it, vi } from 'vitest';
import type { Server } from '../../index.ts';
import type { Piece } from './pages.ts';
import { vectorsOf } from './vectors.ts';

vi.stubGlobal('document', { baseURI: 'https://site/docs/' });

const pieces = Array.from(
  { length: 20 },
  (_, index): Piece => ({ page: 'p', slug: '', title: 'T', text: `text ${index}` }),
);

/** Embeds a text as its length. */
function serverOf(answer?: Response) {
  const asked: string[][] = [];
  const fetch = async (_: unknown, init?: RequestInit) => {
    const { input } = JSON.parse(String(init?.body)) as { input: string[] };
    asked.push(input);
    return answer ?? Response.json({ data: input.map((text) => ({ embedding: [text.length] })) });
  };
  return { server: { baseURL: 'https://site/v1', fetch } as unknown as Server, asked };
}

const { signal } = new AbortController();

it('embeds in batches, once: what is kept is not asked for again, what has changed is', async () => {
  const { server, asked } = serverOf();
  const progress: number[] = [];
  const vectors = await vectorsOf(pieces, pieces, 'm', server, signal, (done) => progress.push(done));
  expect(asked.map((input) => input.length)).toEqual([8, 8, 4]);
  expect(progress).toEqual([0, 8, 16, 20]);
  expect(vectors).toEqual(pieces.map(({ title, text }) => [title.length + 1 + text.length]));

  const changed = [...pieces.slice(1), { page: 'p', slug: '', title: 'T', text: 'another text' }];
  const again = await vectorsOf(changed, changed, 'm', server, signal, () => {});
  expect(asked.slice(3)).toEqual([['T\nanother text']]);
  expect(again).toEqual([...vectors.slice(1), [14]]);

  await vectorsOf(pieces, pieces, 'another model', server, signal, () => {});
  expect(asked.slice(4).flat()).toHaveLength(20);
});

it('keeps what other questions had read', async () => {
  const { server, asked } = serverOf();
  for (const some of [pieces.slice(0, 3), pieces.slice(2, 6), pieces.slice(0, 6)]) {
    await vectorsOf(some, pieces, 'a third model', server, signal, () => {});
  }
  expect(asked.map((input) => input.length)).toEqual([3, 3]);
});

it('fails in the server’s words', async () => {
  const { server } = serverOf(Response.json({ error: { message: 'No memory.' } }, { status: 503 }));
  await expect(vectorsOf(pieces, pieces, 'x', server, signal, () => {})).rejects.toThrow('No memory.');
});
