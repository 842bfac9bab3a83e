/** One request on its way through the server: made once, then passed on. */
import type { Json } from '../../engine/engine.ts';
import type { Attachments, Delivered, RequestIdentity } from '../../protocol.ts';
import { isObject, readJson } from './json.ts';

export class Scope {
  readonly request: Request;
  readonly query: URLSearchParams;
  /** Ends the work behind the answer; aborted when the client goes away. */
  readonly abort = new AbortController();
  readonly #attachments: Attachments;
  /** False for `?autoload=false`: answer only if the model is already loaded. */
  readonly autoload: boolean;
  #json: Promise<unknown> | undefined;

  /** @param client Aborts when the client goes away. */
  constructor(request: Request, attachments: Attachments = {}, client: AbortSignal = request.signal) {
    this.request = request;
    this.#attachments = attachments;
    this.query = new URL(request.url).searchParams;
    this.autoload = readAutoload(this.query.get('autoload'));
    // Without the client's reason, so that an abort is an AbortError everywhere.
    if (client.aborted) this.abort.abort();
    else client.addEventListener('abort', () => this.abort.abort(), { once: true });
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /** What the client has of the answer, from a host that is gone. */
  get delivered(): Delivered | undefined {
    return this.#attachments.delivered;
  }

  /** Names the page or worker that asks, among all that do. */
  get caller(): string {
    return this.#attachments.client ?? '';
  }

  /** Whether another host has taken it on. */
  get admitted(): boolean {
    return this.delivered !== undefined || this.#attachments.again === true;
  }

  get identity(): RequestIdentity | undefined {
    return this.#attachments.identity;
  }

  /** The body, parsed once however often it is asked for. @throws as `readJson`. */
  json(): Promise<unknown> {
    this.#json ??= readJson(this.request);
    return this.#json;
  }

  /**
   * The body as an object; like llama-server, treats any other JSON value as an object without fields. @throws as
   * `readJson`.
   */
  async body(): Promise<Json> {
    const value = await this.json();
    return isObject(value) ? value : {};
  }

  /** The same request, detached from its client: only `signal` aborts it. */
  detached(signal: AbortSignal): Scope {
    const scope = new Scope(this.request, this.#attachments, signal);
    scope.#json = this.#json;
    return scope;
  }
}

/** As in llama-server, any other value means no. */
function readAutoload(value: string | null): boolean {
  return value === null || value === '' || value === 'true' || value === '1';
}
