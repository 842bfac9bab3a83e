import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { createBrowser } from '../browser.mjs';

export type Browser = ReturnType<typeof createBrowser>;

/** Opens a page in a browser of its own, with a new profile, as long as something runs. @param run is given the profile's folder */
export async function visit<T>(browser: Browser, url: string, run: (profile: string) => Promise<T>): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), 'llamatab-bench-'));
  try {
    return await browser.visit(profile, url, run(profile));
  } finally {
    try {
      rmSync(profile, { recursive: true, maxRetries: 5, retryDelay: 200 });
    } catch {
      // The last of the browser's processes still writes; the system forgets its temporary files some day.
    }
  }
}
