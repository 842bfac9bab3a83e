/** Sends requests to the current host, and to the next one if that dies. */
import { anySignal } from '../abortable.ts';
import { LlamatabError } from '../errors.ts';
import { answerOf } from './answer.ts';
import type { HostConnection } from './caller.ts';
import { toRequestFrame } from './frames.ts';

export interface Relay {
  /** Requests whose answer is not complete. */
  readonly underWay: number;
  /** Resolves as soon as there is none. */
  whenIdle(): Promise<void>;
  /**
   * Always answers, with an error envelope if need be; rejects only with the abort of `request.signal`.
   * @param url the URL that the server gets.
   * @param client names the page or worker that asks.
   */
  send(request: Request, url: string, client: string, options?: SendOptions): Promise<Response>;
}

export interface SendOptions {
  /** Files that go with the body, by reference. */
  files?: readonly File[] | undefined;
  /** Breaks an answer off that has begun. */
  signal?: AbortSignal;
  /** What an answer that is whole waits for before it ends. */
  beforeEnd?: () => Promise<void>;
  /** Called once no more of the answer will come. */
  onEnd?: () => void;
}

/**
 * @param findHost resolves with the current host, or waits for the next one.
 *   @throws LlamatabError `unavailable_error` if there is none to wait for.
 */
export function createRelay(findHost: () => Promise<HostConnection>): Relay {
  let underWay = 0;
  const waiting = new Set<() => void>();
  return {
    get underWay() {
      return underWay;
    },
    whenIdle() {
      return new Promise((resolve) => {
        if (underWay === 0) resolve();
        else waiting.add(resolve);
      });
    },
    async send(request, url, client, { files, signal, beforeEnd, onEnd: onOwnEnd } = {}) {
      underWay++;
      const onEnd = () => {
        underWay--;
        onOwnEnd?.();
        if (underWay > 0) return;
        for (const resolve of waiting) resolve();
        waiting.clear();
      };
      try {
        const frame = await toRequestFrame(request, url, client, files).catch((error: unknown) => {
          onEnd();
          throw error;
        });
        const either = signal ? anySignal(request.signal, signal) : request.signal;
        return await answerOf(frame, findHost, either, { beforeEnd, onEnd });
      } catch (error) {
        if (request.signal.aborted) throw error;
        return errorResponse(LlamatabError.from(error));
      }
    },
  };
}

/** The answer where the server could not be reached. */
function errorResponse(error: LlamatabError): Response {
  return Response.json(error.toEnvelope(), {
    status: error.status,
    headers: { 'X-Llamatab': __LLAMATAB_VERSION__ },
  });
}
