import { useRef, useState } from 'preact/hooks';
import { type Server, serve } from '../../index.ts';
import { complete } from '../chat/complete.ts';
import { cutIntoPieces, type Page } from './pages.ts';
import { candidatesFor, type Found, findPieces, promptOf } from './retrieval.ts';
import { embed, vectorsOf } from './vectors.ts';

export interface Asked {
  question: string;
  state: 'preparing' | 'reading' | 'answering' | 'done' | 'failed';
  /** What is being done, with `preparing` and `reading`. */
  doing: string;
  sources: readonly Found[];
  answer: string;
  /** For people: who writes the answer. */
  model: string;
  problem?: string;
}

/** Pieces that are read for a question: seconds, where all of them would take a minute. */
const CANDIDATES = 48;

/** Sections that an answer is made of. */
const SOURCES = 3;

/** Of a small model, the first paragraph: those after it go round in circles. */
const LENGTH = { max_tokens: 100, stop: ['\n\n'] };

/** Answers questions from the documentation, with this site's own models. The engine starts with the first one. */
export function useAsk(pages: readonly Page[]): { asked: Asked | undefined; ask: (question: string) => void } {
  const [asked, setAsked] = useState<Asked>();
  const starting = useRef<Promise<Server>>(undefined);
  const running = useRef<AbortController>(undefined);

  const ask = async (question: string) => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    let now: Asked = { question, state: 'preparing', doing: 'Starting…', sources: [], answer: '', model: '' };
    const change = (changed: Partial<Asked>) => {
      if (abort.signal.aborted) return;
      now = { ...now, ...changed };
      setAsked(now);
    };
    change({});
    try {
      // Reading needs no model: nothing is loaded before somebody asks.
      starting.current ??= serve({ preload: false });
      const server = await starting.current;
      const models = await server.models.list();
      const embedder = models.find(({ capabilities }) => capabilities.includes('embedding'));
      const writer = models.find(({ default: isDefault }) => isDefault);
      if (!embedder)
        throw new Error('This site has no embedding model, so its documentation can’t be searched by meaning.');

      change({ doing: `Loading ${embedder.name}…` });
      const pieces = cutIntoPieces(pages);
      const candidates = candidatesFor(question, pieces, CANDIDATES);
      const likely = candidates.map(({ piece }) => piece);
      const vectors = await vectorsOf(likely, pieces, embedder.id, server, abort.signal, (done) =>
        change({ state: 'reading', doing: `Reading the documentation: ${done} of ${likely.length} pieces` }),
      );
      const [vector = []] = await embed([question], embedder.id, server, abort.signal);
      const sources = findPieces(vector, candidates, vectors, SOURCES);
      const model = writer?.name ?? 'the default model';
      change({ sources, model, doing: `${model} reads them…` });

      const request = { model: 'local', messages: promptOf(question, sources), temperature: 0, ...LENGTH };
      for await (const event of complete(server.fetch, server.baseURL, request, abort.signal)) {
        if (event.type === 'text') change({ state: 'answering', answer: now.answer + event.text });
      }
      change({ state: 'done' });
    } catch (error) {
      change({ state: 'failed', problem: error instanceof Error ? error.message : String(error) });
    }
  };
  return { asked, ask };
}
