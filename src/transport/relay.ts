/** Sends requests to the current host, and again to the next one if the host dies before it answers. */
import { LlamatabError } from '../errors.ts';
import { type HostConnection, HostLost } from './caller.ts';
import { toRequestFrame } from './frames.ts';

/** Hosts that one request may try. A request that kills its host must not go on to kill the engine of every tab. */
const MAX_HOSTS = 3;

export interface Relay {
  /**
   * Always answers, with an error envelope if need be; rejects only with the abort of `request.signal`.
   * @param url the URL that the server gets.
   * @param files files that go with the body, by reference.
   */
  send(request: Request, url: string, files?: readonly File[]): Promise<Response>;
}

/**
 * @param findHost resolves with the current host, or waits for the next one.
 *   @throws LlamatabError `unavailable_error` if there is none to wait for.
 */
export function createRelay(findHost: () => Promise<HostConnection>): Relay {
  async function answer(request: Request, url: string, files?: readonly File[]): Promise<Response> {
    const frame = await toRequestFrame(request, url, files);
    for (let attempt = 0; attempt < MAX_HOSTS; attempt++) {
      const connection = await findHost();
      try {
        return await connection.request(frame, request.signal);
      } catch (error) {
        if (!(error instanceof HostLost)) throw error;
      }
    }
    throw new LlamatabError(
      'unavailable_error',
      `The engine was lost ${MAX_HOSTS} times while this request waited for it. Reload the page, or ask for less.`,
    );
  }

  return {
    async send(request, url, files) {
      try {
        return await answer(request, url, files);
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
