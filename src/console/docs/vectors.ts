/** The vectors of the documentation's pieces: computed once on each device, and kept. */
import { createStore, get, set } from 'idb-keyval';
import type { Server } from '../../index.ts';
import type { Piece } from './pages.ts';
import { embeddedText } from './retrieval.ts';

/** Texts in one request: what is computed between two updates of the progress. */
const BATCH = 8;

interface Kept {
  model: string;
  texts: string[];
  vectors: number[][];
}

/**
 * @param all of the documentation: what was kept of other texts is forgotten
 * @param onProgress with how many of the pieces are done
 */
export async function vectorsOf(
  pieces: readonly Piece[],
  all: readonly Piece[],
  model: string,
  server: Server,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<number[][]> {
  const texts = pieces.map(embeddedText);
  const kept = await readKept(model);
  const known = new Map(kept?.texts.map((text, index) => [text, kept.vectors[index] as number[]]));
  const missing = texts.filter((text) => !known.has(text));
  for (let at = 0; at < missing.length; at += BATCH) {
    onProgress(texts.length - missing.length + at);
    const batch = missing.slice(at, at + BATCH);
    const made = await embed(batch, model, server, signal);
    batch.forEach((text, index) => {
      known.set(text, made[index] as number[]);
    });
  }
  onProgress(texts.length);
  if (missing.length > 0) {
    const current = new Set(all.map(embeddedText));
    const kept = [...known].filter(([text]) => current.has(text));
    await keep({ model, texts: kept.map(([text]) => text), vectors: kept.map(([, vector]) => vector) });
  }
  return texts.map((text) => known.get(text) as number[]);
}

/** @throws Error with the server's words */
export async function embed(input: string[], model: string, server: Server, signal: AbortSignal): Promise<number[][]> {
  const response = await server.fetch(`${server.baseURL}/embeddings`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ model, input }),
    signal,
  });
  const answer = (await response.json()) as { data?: { embedding: number[] }[]; error?: { message: string } };
  if (!answer.data) throw new Error(answer.error?.message ?? `The embeddings were answered with ${response.status}.`);
  return answer.data.map(({ embedding }) => embedding);
}

const KEY = 'vectors';
const database = () => createStore(`llamatab-docs:${new URL('./', document.baseURI).pathname}`, 'vectors');

/** Undefined where none are kept, or nothing can be. */
function readKept(model: string): Promise<Kept | undefined> {
  return Promise.resolve()
    .then(() => get<Kept>(KEY, database()))
    .then(
      (kept) => (kept?.model === model ? kept : undefined),
      () => undefined,
    );
}

/** Where nothing can be kept they are computed again the next time. */
async function keep(kept: Kept): Promise<void> {
  try {
    await set(KEY, kept, database());
  } catch {
    // A private window, or a full disk.
  }
}
