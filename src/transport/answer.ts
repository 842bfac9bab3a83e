/**
 * One answer, from as many hosts as it takes. The caller gets one Response: when the host dies, the request goes to the next one
 * together with what has been delivered, and that host sends the rest. What the bytes mean is the server's business.
 */
import { abortable, anySignal } from '../abortable.ts';
import { LlamatabError } from '../errors.ts';
import type { Delivered, RequestFrame } from '../protocol.ts';
import { type Exchange, type HostConnection, HostLost, type Receiver } from './caller.ts';
import { toResponse } from './frames.ts';

/** Hosts that one request may lose without getting on. One that kills its host must not go on to kill the engine of every tab. */
const MAX_LOSSES = 3;

/**
 * Bytes of an answer that are remembered for the next host: some 80,000 tokens, at about 200 bytes an event. A file that is being
 * exported is more, and breaks off.
 */
export const MAX_DELIVERED = 16 * 1024 * 1024;

/**
 * @param findHost resolves with the current host, or waits for the next one.
 * @param signal ends the work, and fails the answer with its reason.
 * @param beforeEnd what an answer that is whole waits for before it ends.
 * @param onEnd called once no more of the answer will come.
 * @returns as soon as a host has answered. @throws what `findHost` throws; the signal's reason.
 */
export function answerOf(
  frame: RequestFrame,
  findHost: () => Promise<HostConnection>,
  signal: AbortSignal,
  { beforeEnd, onEnd }: { beforeEnd?: (() => Promise<void>) | undefined; onEnd: () => void },
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const cancelled = new AbortController();
    const either = anySignal(signal, cancelled.signal);
    const delivery = new Delivery();
    let body: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
    let exchange: Exchange | null = null;
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        body = controller;
      },
      // Called when everything that has arrived has been read.
      pull: () => exchange?.onRead(),
      /**
       * Not at once: until 2026, WebKit (bug 305769) cancels a service worker's response under a lock that it takes again as soon as
       * promises go on, which they do after any event. Its service worker would never answer again.
       */
      cancel: () => Promise.resolve().then(() => cancelled.abort()),
    });

    async function askHosts(): Promise<void> {
      for (let losses = 0; losses < MAX_LOSSES; ) {
        const before = delivery.size;
        const host = await abortable(findHost(), either);
        try {
          return await ask(host, { ...frame, again: losses > 0 });
        } catch (error) {
          if (!(error instanceof HostLost) || error instanceof CannotGoOn || either.aborted) throw error;
          if (delivery.begun) delivery.requireWhole(frame);
          losses = delivery.size > before ? 1 : losses + 1;
        }
      }
      throw new LlamatabError(
        'unavailable_error',
        `The engine was lost ${MAX_LOSSES} times while this request waited for it. Reload the page, or ask for less.`,
      );
    }

    async function ask(host: HostConnection, sent: RequestFrame): Promise<void> {
      const delivered = delivery.begun ? delivery.soFar() : undefined;
      let goesOn = delivered === undefined;
      const receiver: Receiver = {
        onHead(head) {
          goesOn = true;
          if (delivered !== undefined) return;
          delivery.begin(head.status);
          resolve(toResponse(head, stream));
        },
        onChunk(bytes) {
          delivery.add(bytes);
          body.enqueue(bytes);
        },
      };
      exchange = host.exchange(sent, delivered, receiver, either);
      try {
        await exchange.ended;
      } catch (error) {
        if (error instanceof HostLost || either.aborted || goesOn) throw error;
        throw new CannotGoOn(error instanceof Error ? error.message : String(error));
      }
    }

    const end = () => {
      delivery.forget();
      onEnd();
    };
    async function whole(): Promise<void> {
      await askHosts();
      if (beforeEnd) await abortable(beforeEnd(), either);
      either.throwIfAborted();
    }

    whole().then(
      () => {
        end();
        body.close();
      },
      (error: unknown) => {
        end();
        if (cancelled.signal.aborted) return;
        if (delivery.begun) body.error(error);
        else reject(error);
      },
    );
  });
}

/** The next host can't go on where the last one stopped. To the caller it is the lost host that ended the answer. */
class CannotGoOn extends HostLost {}

/** What has been delivered of one answer. */
class Delivery {
  /** Bytes so far. */
  size = 0;
  #status: number | null = null;
  #chunks: Uint8Array<ArrayBuffer>[] = [];

  get begun(): boolean {
    return this.#status !== null;
  }

  begin(status: number): void {
    this.#status = status;
  }

  add(bytes: Uint8Array<ArrayBuffer>): void {
    this.size += bytes.byteLength;
    if (this.size > MAX_DELIVERED) this.forget();
    // A copy: the reader may transfer its own.
    else this.#chunks.push(bytes.slice());
  }

  forget(): void {
    this.#chunks = [];
  }

  /** @throws HostLost if another host could not go on from it. */
  requireWhole({ files }: RequestFrame): void {
    if (files !== undefined) {
      throw new CannotGoOn('The tab that ran the engine was closed while it read the files. Add them again.');
    }
    if (this.size > MAX_DELIVERED) {
      throw new CannotGoOn(
        `The tab that ran the engine was closed after ${this.size} bytes of its answer; up to ${MAX_DELIVERED} another tab could have gone on. Ask again.`,
      );
    }
  }

  soFar(): Delivered {
    const bytes = new Uint8Array(this.size);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
    return { status: this.#status as number, bytes };
  }
}
