/** `server.realtime()`: a socket for OpenAI's realtime events, made of ordinary requests, so that it works in any tab. */
import { type ErrorEnvelope, LlamatabError } from '../errors.ts';
import { readEvents } from '../event-stream.ts';
import type { Send } from './model-watch.ts';

export interface RealtimeOptions {
  /** Id or alias of the model. Default: the site's default model. */
  model?: string;
  /** Transcribe while the audio comes in, with models that can. Default: a conversation. */
  intent?: 'transcription';
  /** Makes the session reproducible. */
  seed?: number;
}

type Handler<T extends Event> = ((this: RealtimeSocket, event: T) => void) | null;

/** WebSocket's close codes. */
const NORMAL = 1000;
const FAILED = 1011;

/** llama-server's answer to a message that is not JSON. */
const NO_JSON = JSON.stringify({
  type: 'error',
  error: { type: 'invalid_request_error', code: null, message: 'invalid JSON', param: null },
});

/**
 * Stands in for a `WebSocket` to llama-server's `/v1/realtime`: each message is a text, one event in JSON. It opens by itself,
 * closes if the model can't be loaded or the engine's tab is closed, and holds one of the engine's slots until then.
 */
export class RealtimeSocket extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;

  readonly url: string;
  readonly protocol = 'realtime';
  readonly extensions = '';
  readyState: 0 | 1 | 2 | 3 = RealtimeSocket.CONNECTING;
  /** UTF-16 code units of messages that the engine's tab has not received yet. */
  bufferedAmount = 0;

  onopen: Handler<Event> = null;
  onmessage: Handler<MessageEvent<string>> = null;
  onerror: Handler<Event> = null;
  onclose: Handler<CloseEvent> = null;

  readonly #session = crypto.randomUUID();
  readonly #send: Send;
  readonly #ended = new AbortController();
  #waiting: string[] = [];
  #sending = false;

  /** @param base Absolute URL of the site's base. */
  constructor(send: Send, base: string, options: RealtimeOptions = {}) {
    super();
    this.#send = send;
    this.url = new URL('v1/realtime', base).href;
    this.#run(options);
  }

  /**
   * @param message One event, as JSON.
   * @throws DOMException `InvalidStateError` before `open`, like a WebSocket. After `close` it does nothing.
   */
  send(message: string): void {
    if (this.readyState === this.CONNECTING) {
      throw new DOMException('The session is not open yet: wait for its "open" event.', 'InvalidStateError');
    }
    if (this.readyState !== this.OPEN) return;
    try {
      JSON.parse(message);
    } catch {
      queueMicrotask(() => this.#emit(new MessageEvent('message', { data: NO_JSON })));
      return;
    }
    this.#waiting.push(message);
    this.bufferedAmount += message.length;
    this.#flush();
  }

  /** Ends the session and frees its slot; then fires `close`. */
  close(code = NORMAL, reason = ''): void {
    if (this.readyState >= this.CLOSING) return;
    this.readyState = this.CLOSING;
    this.#ended.abort();
    queueMicrotask(() => this.#close(code, reason, true));
  }

  async #run(options: RealtimeOptions): Promise<void> {
    try {
      const body = JSON.stringify({ ...options, session: this.#session });
      const response = await this.#send('realtime', { method: 'POST', body, signal: this.#ended.signal });
      if (this.readyState !== this.CONNECTING) return;
      this.readyState = this.OPEN;
      this.#emit(new Event('open'));
      for await (const data of response.body ? readEvents(response.body) : []) {
        if (this.readyState !== this.OPEN) return;
        const event: { type: string } | ErrorEnvelope = JSON.parse(data);
        // The session's events have a type. Without one it is the error that ended the answer.
        if (!('type' in event)) throw LlamatabError.fromEnvelope(event);
        this.#emit(new MessageEvent('message', { data }));
      }
      this.#close(NORMAL, 'The session ended.', true);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Sends one request at a time, to keep the order, with all messages that have gathered meanwhile. */
  async #flush(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      while (this.#waiting.length > 0) {
        const messages = this.#waiting;
        this.#waiting = [];
        const body = `[${messages.join(',')}]`;
        await this.#send(`realtime/${this.#session}`, { method: 'POST', body, signal: this.#ended.signal });
        this.bufferedAmount -= messages.reduce((sum, { length }) => sum + length, 0);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#sending = false;
    }
  }

  #fail(error: unknown): void {
    if (this.readyState >= this.CLOSING) return;
    this.#ended.abort();
    this.#emit(new ErrorEvent('error', { error, message: LlamatabError.from(error).message }));
    this.#close(FAILED, LlamatabError.from(error).message, false);
  }

  #close(code: number, reason: string, wasClean: boolean): void {
    if (this.readyState === this.CLOSED) return;
    this.readyState = this.CLOSED;
    this.#emit(new CloseEvent('close', { code, reason, wasClean }));
  }

  #emit(event: Event): void {
    const handler = this[`on${event.type}` as 'onopen'];
    handler?.call(this, event);
    this.dispatchEvent(event);
  }
}
