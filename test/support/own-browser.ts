/** A Chromium whose processes are the test's own: to kill, and to measure. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from '@playwright/test';
import { ARGS } from './chromium-options.ts';

export interface OwnBrowser {
  page: Page;
  pid: number;
  /** SIGKILL to the browser and all its processes. */
  kill(): void;
  /** Resolves when the browser's process is over. */
  gone: Promise<void>;
  close(): Promise<void>;
}

/** A Chromium whose process is ours to kill, with a profile that outlives it. */
export async function launch(profile?: string): Promise<OwnBrowser> {
  const folder = profile ?? mkdtempSync(join(tmpdir(), 'llamatab-own-'));
  const child = spawn(
    process.env.CHROMIUM_PATH ?? chromium.executablePath(),
    [
      '--headless=new',
      ...ARGS,
      '--disable-gpu',
      '--remote-debugging-port=0',
      `--user-data-dir=${folder}`,
      'about:blank',
    ],
    // A group of its own, so that all its processes can be killed at once.
    { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const gone = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  const browser = await chromium.connectOverCDP(await debuggingUrl(child));
  const [context] = browser.contexts();
  if (context === undefined) throw new Error('no context');
  const page = context.pages()[0] ?? (await context.newPage());
  const kill = () => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL');
    } catch {
      // Over already.
    }
  };
  return {
    page,
    pid: child.pid as number,
    kill,
    gone,
    close: async () => {
      await browser.close();
      kill();
      await gone;
      if (profile === undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

function debuggingUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stderr?.on('data', (data: Buffer) => {
      text += data;
      const url = /DevTools listening on (ws:\S+)/.exec(text)?.[1];
      if (url) resolve(url);
    });
    child.on('exit', () => reject(new Error(`the browser did not start: ${text}`)));
  });
}

/** Bytes of private memory of all processes of the browser; 0 where the system does not tell. */
export function memoryOf({ pid }: OwnBrowser): number {
  let bytes = 0;
  try {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        // Field 5 is the process group.
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) !== pid) continue;
        const anonymous = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'));
        bytes += Number(anonymous?.[1] ?? 0) * 1024;
      } catch {
        // It ended meanwhile.
      }
    }
  } catch {
    // Not Linux.
  }
  return bytes;
}
