/**
 * A page that is frozen while it reads a service worker's answer never gets the rest of it in Chromium (156): nobody reads on when the page
 * runs again, and no error tells. So pages say when they are frozen, and when they run again, and the answers that had begun by then break
 * off, also those that are whole by now.
 */

/** One answer to a page. */
export interface AnswerToPage {
  /** Aborted when the page runs again, after it was frozen in the midst of this answer. */
  readonly signal: AbortSignal;
  /** Its head has been sent. */
  onBegun(): void;
  /** Resolves while the page is not frozen. Till then an answer must not end: it could not break off any more. */
  untilThawed(): Promise<void>;
  onEnd(): void;
}

export interface FrozenPages {
  /** @param client the page's, or worker's, id. */
  answer(client: string): AnswerToPage;
  onFrozen(client: string): void;
  onThawed(client: string): void;
}

interface Page {
  /** What breaks off each of its answers that have begun. */
  begun: Set<AbortController>;
  answers: number;
  /** Settles when the page runs again; null while it runs. */
  thawed: Promise<void> | null;
  thaw(): void;
}

export function createFrozenPages(): FrozenPages {
  /** Those that are being answered, by client. */
  const pages = new Map<string, Page>();
  return {
    answer(client) {
      const page = pages.get(client) ?? { begun: new Set(), answers: 0, thawed: null, thaw: () => {} };
      pages.set(client, page);
      page.answers++;
      const abort = new AbortController();
      return {
        signal: abort.signal,
        onBegun: () => page.begun.add(abort),
        untilThawed: async () => {
          await page.thawed;
        },
        onEnd() {
          page.begun.delete(abort);
          page.answers--;
          if (page.answers === 0) pages.delete(client);
        },
      };
    },
    onFrozen(client) {
      const page = pages.get(client);
      if (!page) return;
      page.thawed ??= new Promise((resolve) => {
        page.thaw = resolve;
      });
    },
    onThawed(client) {
      const page = pages.get(client);
      if (!page?.thawed) return;
      page.thawed = null;
      for (const abort of page.begun) abort.abort(new TypeError(BROKEN_OFF));
      page.thaw();
    },
  };
}

const BROKEN_OFF = 'The page was frozen while it read this answer, and this browser would not give it the rest.';
