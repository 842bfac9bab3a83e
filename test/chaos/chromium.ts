/**
 * A Chromium that is spoken to over a pipe, page by page. Playwright attaches DevTools to service workers as well, which then live
 * for ever: what a browser does with them can't be tested so.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { chromium } from '@playwright/test';
import { ARGS } from '../support/chromium-options.ts';

type Params = Record<string, unknown>;

interface Message {
  id?: number;
  sessionId?: string;
  method?: string;
  params?: Params;
  result?: Params;
  error?: { message: string };
}

export type EventListener = (method: string, params: Params, sessionId: string | undefined) => void;

export class Chromium {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #calls = new Map<number, { resolve(result: Params): void; reject(error: Error): void }>();
  readonly #listeners = new Set<EventListener>();
  #ids = 0;

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'llamatab-chaos-'));
    this.#child = spawn(
      process.env.CHROMIUM_PATH ?? chromium.executablePath(),
      [
        '--headless=new',
        ...ARGS,
        '--disable-gpu',
        // A crash is ours to make, and nobody's to report.
        '--disable-breakpad',
        '--remote-debugging-pipe',
        `--user-data-dir=${this.#folder}`,
        'about:blank',
      ],
      { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    let text = '';
    const output = this.#child.stdio[4] as Readable;
    output.setEncoding('utf8');
    output.on('data', (data: string) => {
      const parts = (text + data).split('\0');
      text = parts.pop() ?? '';
      for (const part of parts) this.#onMessage(JSON.parse(part));
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#calls.values()) reject(new Error('the browser ended'));
      this.#calls.clear();
    });
  }

  #onMessage({ id, sessionId, method, params = {}, result = {}, error }: Message): void {
    if (method !== undefined) {
      for (const listener of this.#listeners) listener(method, params, sessionId);
      return;
    }
    const call = this.#calls.get(id ?? -1);
    this.#calls.delete(id ?? -1);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error.message));
  }

  /** One command of the DevTools protocol, to the browser or to the page that a session is attached to. */
  send(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      const input = this.#child.stdio[3] as Writable;
      input.write(`${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`);
    });
  }

  /** Returns a function that ends it. */
  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.on('exit', resolve));
    try {
      process.kill(-(this.#child.pid as number), 'SIGKILL');
    } catch {
      // Over already.
    }
    await gone;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
