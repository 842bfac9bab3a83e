/** Chromium, by Playwright. */
import type { Browser as PlaywrightBrowser } from '@playwright/test';
import type { Browser } from './tab.ts';

export async function openChromium(launch: () => Promise<PlaywrightBrowser>): Promise<Browser> {
  const browser = await launch();
  const context = await browser.newContext();
  return {
    version: browser.version(),
    async newTab() {
      const page = await context.newPage();
      return Object.assign(page, {
        async type(selector: string, text: string) {
          await page.locator(selector).focus();
          for (const key of text) await page.keyboard.press(key === '\n' ? 'Enter' : key);
        },
      });
    },
    close: () => browser.close(),
  };
}
