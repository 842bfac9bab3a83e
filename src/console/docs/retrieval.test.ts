import { expect, it } from 'vitest';
import type { Piece } from './pages.ts';
import { candidatesFor, findPieces, promptOf } from './retrieval.ts';

const piece = (slug: string, text: string): Piece => ({ page: 'p', slug, title: `P › ${slug}`, text });
const PIECES = [
  piece('threads', 'Threads need `isolate`.'),
  piece('threads', 'More of them.'),
  piece('models', 'A model is a file.'),
  piece('other', 'Anything else.'),
];
const VECTORS = [
  [1, 0],
  [0.9, 0.1],
  [0, 1],
  [0.5, 0.5],
];

const find = (question: string, asked: number[], count: number) => {
  const candidates = candidatesFor(question, PIECES, PIECES.length);
  const vectors = candidates.map(({ piece }) => VECTORS[PIECES.indexOf(piece)] as number[]);
  return findPieces(asked, candidates, vectors, count);
};
const slugsOf = (question: string, asked: number[]) => find(question, asked, 3).map(({ piece: { slug } }) => slug);

it('finds by meaning, each section once', () => {
  expect(slugsOf('', [1, 0])).toEqual(['threads', 'other', 'models']);
  expect(slugsOf('', [0, 1])).toEqual(['models', 'other', 'threads']);
});

it('finds a name that a model of sentences does not know', () => {
  expect(slugsOf('what does isolate do', [0.5, 0.5])[0]).toBe('threads');
  expect(slugsOf('files', [0.5, 0.5])[0]).toBe('models');
});

it('reads the pieces first that share the rarest words with the question', () => {
  const [first, ...others] = candidatesFor('isolate threads', PIECES, 2);
  expect([first, others.length]).toEqual([{ piece: PIECES[0], shared: 1 }, 1]);
  expect(others[0]?.shared).toBeLessThan(1);
  expect(candidatesFor('', PIECES, 3).map(({ shared }) => shared)).toEqual([0, 0, 0]);
});

it('asks with the excerpts, and with no marks of Markdown', () => {
  const [system, user] = promptOf('Why?', find('', [1, 0], 1));
  expect(system?.role).toBe('system');
  expect(user?.content).toBe('## P › threads\nThreads need isolate.\n\n## Question\nWhy?');
});
