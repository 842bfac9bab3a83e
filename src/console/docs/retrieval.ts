/** Which pieces of the documentation a question is about: by meaning, and by the words that they share. */
import { type Piece, plain } from './pages.ts';

export interface Found {
  piece: Piece;
  /** About 0 to 1.3. */
  score: number;
}

/** A piece that may be what a question is about. */
export interface Candidate {
  piece: Piece;
  /** 0 to 1: of the question's words, weighted by how rare they are, those that it has. */
  shared: number;
}

/** How much shared words count beside a cosine of 0 to 1: names of parameters mean nothing to a model of sentences. */
const WORDS_WEIGHT = 0.4;

/** The pieces that share most words with the question. A device takes a tenth of a second and more to read one for its meaning. */
export function candidatesFor(question: string, pieces: readonly Piece[], count: number): Candidate[] {
  const words = wordsOf(question);
  const rarity = rarityOf(pieces);
  const weightOf = (word: string) => rarity.get(word) ?? 0;
  const whole = words.reduce((sum, word) => sum + weightOf(word), 0);
  return pieces
    .map((piece) => {
      const own = new Set(wordsOf(`${piece.title} ${piece.text}`));
      const shared = words.reduce((sum, word) => sum + (own.has(word) ? weightOf(word) : 0), 0);
      return { piece, shared: whole > 0 ? shared / whole : 0 };
    })
    .sort((a, b) => b.shared - a.shared)
    .slice(0, count);
}

/**
 * The best of them, at most one of each section.
 *
 * @param asked the question's vector; as `vectors`, the candidates', of length 1
 */
export function findPieces(
  asked: readonly number[],
  candidates: readonly Candidate[],
  vectors: readonly (readonly number[])[],
  count: number,
): Found[] {
  const ranked = candidates
    .map(({ piece, shared }, index) => ({ piece, score: dot(asked, vectors[index] ?? []) + WORDS_WEIGHT * shared }))
    .sort((a, b) => b.score - a.score);
  const seen = new Set<string>();
  return ranked
    .filter(({ piece: { page, slug } }) => !seen.has(`${page}/${slug}`) && seen.add(`${page}/${slug}`))
    .slice(0, count);
}

/** The inverse document frequency of each word. */
function rarityOf(pieces: readonly Piece[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { title, text } of pieces) {
    for (const word of new Set(wordsOf(`${title} ${text}`))) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return new Map([...counts].map(([word, count]) => [word, Math.log(pieces.length / count)]));
}

/** Lower case, and without an s at the end: threads, thread. */
function wordsOf(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
  return [...new Set(words.map((word) => (word.length > 3 ? word.replace(/s$/, '') : word)))];
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

/** What is embedded of a piece. */
export function embeddedText({ title, text }: Piece): string {
  return `${title}\n${plain(text)}`;
}

/** Characters of an excerpt in the prompt: a small model loses itself in more. */
const EXCERPT_LENGTH = 700;

/** The chat that is asked for an answer. */
export function promptOf(question: string, found: readonly Found[]): { role: 'system' | 'user'; content: string }[] {
  const excerpts = found.map(({ piece }) => `## ${piece.title}\n${plain(piece.text).slice(0, EXCERPT_LENGTH)}`);
  return [
    {
      role: 'system',
      content:
        'You answer questions about llamatab, a library that runs llama-server in a browser tab. ' +
        'Use only the excerpts of its documentation. Answer in two or three short sentences.',
    },
    { role: 'user', content: `${excerpts.join('\n\n')}\n\n## Question\n${question}` },
  ];
}
