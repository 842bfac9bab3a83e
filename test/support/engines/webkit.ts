/** WebKitGTK, by the classic WebDriver protocol (https://www.w3.org/TR/webdriver/), which is all that its driver speaks. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WebKit } from './find.mjs';
import { type Browser, POLL, type Tab } from './tab.ts';

export async function launchWebKit({ driver, browser, xvfb }: WebKit): Promise<Browser> {
  const home = mkdtempSync(join(tmpdir(), 'llamatab-webkit-'));
  const screen = spawn(xvfb, ['-displayfd', '3', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const [display] = await once(screen.stdio[3] as NodeJS.ReadableStream, 'data');
  const port = await freePort();
  const server = spawn(driver, [`--port=${port}`], {
    stdio: 'ignore',
    // A group of its own, with the browser and its processes.
    detached: true,
    env: {
      ...process.env,
      DISPLAY: `:${String(display).trim()}`,
      XDG_DATA_HOME: home,
      XDG_CACHE_HOME: home,
      XDG_CONFIG_HOME: home,
      // Its sandbox wants user namespaces, which containers do not have.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
    },
  });
  const close = async () => {
    // Not by the protocol, which would wait for a page that hangs.
    await end(server, 'SIGKILL', true);
    // Politely, so that it takes its lock file away.
    await end(screen, 'SIGTERM');
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  try {
    return await browserOf(`http://127.0.0.1:${port}`, server, browser, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function browserOf(
  driver: string,
  server: ChildProcess,
  binary: string,
  close: () => Promise<void>,
): Promise<Browser> {
  const send = connect(driver);
  await listening(send, server);
  const session = await send<{ sessionId: string; capabilities: { browserVersion: string } }>('POST', '/session', {
    capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': { binary, args: ['--automation'] } } },
  });
  const command: Send = (method, path, body) => send(method, `/session/${session.sessionId}${path}`, body);
  const [first = ''] = await command<string[]>('GET', '/window/handles');
  await command('POST', '/timeouts', { script: MAX, pageLoad: MAX });

  /** A session has one window at a time, so that one window's commands wait for another's. */
  let queue: Promise<unknown> = Promise.resolve();
  const inWindow = <T>(handle: string, work: () => Promise<T>): Promise<T> => {
    const turn = queue.then(async () => {
      await command('POST', '/window', { handle });
      return work();
    });
    queue = turn.catch(() => {});
    return turn;
  };

  return {
    version: session.capabilities.browserVersion,
    async newTab() {
      // Not a tab of the first window, where a page is hidden: it would paint nothing, nor call `requestAnimationFrame`.
      const { handle } = await inWindow(first, () =>
        command<{ handle: string }>('POST', '/window/new', { type: 'window' }),
      );
      return tabOf(command, (work) => inWindow(handle, work));
    },
    close,
  };
}

/** Milliseconds of the protocol's timeouts, which are not ours: a test has its own. */
const MAX = 600_000;

type Send = <T = unknown>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) => Promise<T>;

class WebDriverError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

function connect(origin: string): Send {
  return async <T>(method: string, path: string, body: object = {}): Promise<T> => {
    const response = await fetch(origin + path, {
      method,
      ...(method === 'POST' ? { body: JSON.stringify(body) } : {}),
    });
    const { value } = (await response.json()) as { value: T & { error: string; message: string } };
    if (!response.ok) throw new WebDriverError(value.error, value.message);
    return value;
  };
}

/** The key under which the protocol passes elements (https://www.w3.org/TR/webdriver/#elements). */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
const ENTER = '\uE007';

/**
 * Begins a call of a page's function and leaves its promise in the page, by a name. The protocol's own way to await one would
 * occupy the session, and every other tab of it, as long as it takes. The function is a part of the script: a page may forbid `eval`.
 */
const begin = (pageFunction: string) => `
  const [name, argument] = arguments;
  const calls = (globalThis.__webdriverCalls ??= {});
  const call = (calls[name] = {});
  call.settled = (async () => (${pageFunction})(argument))().then(
    (value) => { call.outcome = { value }; },
    (error) => { call.outcome = { error: error instanceof Error ? error.name + ': ' + error.message : String(error) }; },
  );`;
/** Gives the call's outcome, or null if it takes longer than a moment. */
const AWAIT = `
  const [name, milliseconds, done] = arguments;
  const calls = globalThis.__webdriverCalls ?? {};
  if (!calls[name]) done({ left: true });
  else Promise.race([calls[name].settled, new Promise((resolve) => setTimeout(resolve, milliseconds))]).then(() => {
    const { outcome } = calls[name];
    if (outcome) delete calls[name];
    done(outcome ?? null);
  });`;

interface Outcome {
  value?: unknown;
  error?: string;
  left?: true;
}

let calls = 0;

function tabOf(command: Send, inThisWindow: <T>(work: () => Promise<T>) => Promise<T>): Tab {
  const script = <T>(kind: 'sync' | 'async', text: string, ...args: unknown[]) =>
    inThisWindow(() => command<T>('POST', `/execute/${kind}`, { script: text, args }));
  const evaluate = async (pageFunction: unknown, argument?: unknown): Promise<unknown> => {
    const name = `call-${++calls}`;
    await script('sync', begin(String(pageFunction)), name, argument ?? null);
    for (;;) {
      const outcome = await script<Outcome | null>('async', AWAIT, name, POLL);
      if (outcome?.left) throw new WebDriverError('page left', 'the page was left while a function ran in it');
      if (outcome?.error !== undefined) throw new Error(outcome.error);
      if (outcome !== null) return outcome.value ?? undefined;
    }
  };
  const onElement = (selector: string, path: string, body: object = {}) =>
    inThisWindow(async () => {
      const element = await command<Record<string, string>>('POST', '/element', {
        using: 'css selector',
        value: selector,
      });
      await command('POST', `/element/${element[ELEMENT]}${path}`, body);
    });
  return {
    goto: (url) => inThisWindow(() => command('POST', '/url', { url })),
    reload: () => inThisWindow(() => command('POST', '/refresh')),
    evaluate: evaluate as Tab['evaluate'],
    async waitForFunction(pageFunction) {
      while (!(await evaluate(pageFunction).catch(ifPageWasLeft))) await sleep(POLL);
    },
    click: (selector) => onElement(selector, '/click'),
    type: (selector, text) => onElement(selector, '/value', { text: text.replaceAll('\n', ENTER) }),
    screenshot: async () => Buffer.from(await inThisWindow(() => command<string>('GET', '/screenshot')), 'base64'),
    async close() {
      await inThisWindow(() => command('DELETE', '/window'));
    },
  };
}

/** @throws any other error */
function ifPageWasLeft(error: unknown): false {
  if (error instanceof WebDriverError && ['page left', 'javascript error', 'unknown error'].includes(error.code))
    return false;
  throw error;
}

async function listening(send: Send, server: ChildProcess): Promise<void> {
  for (;;) {
    try {
      await send('GET', '/status');
      return;
    } catch (error) {
      if (server.exitCode !== null) throw new Error(`WebKitWebDriver ended: ${server.exitCode}`, { cause: error });
      // It does not tell when it listens.
      await sleep(POLL);
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL', group = false): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  process.kill(group ? -child.pid : child.pid, signal);
  await exit;
}
