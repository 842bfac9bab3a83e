import type { Page } from '@playwright/test';

/** A tab of any engine: what of Playwright's `Page` all of them can do, so that helpers take either. */
export interface Tab extends Pick<Page, 'evaluate'> {
  /** Resolves once the page is loaded. */
  goto(url: string): Promise<unknown>;
  reload(): Promise<unknown>;
  /** Resolves when the function, asked again and again in the page, gives something true; over a reload of the page too. */
  waitForFunction(pageFunction: () => unknown): Promise<unknown>;
  /** As a person's mouse does. */
  click(selector: string): Promise<void>;
  /** Keys, as a person's keyboard types them, into the element; `\n` is the Enter key. */
  type(selector: string, text: string): Promise<void>;
  screenshot(): Promise<Buffer>;
  /** Ends the page as a person who closes the tab does. */
  close(): Promise<void>;
}

export interface Browser {
  /** As the browser itself tells it: `153.7.0esr`. */
  readonly version: string;
  newTab(): Promise<Tab>;
  /** With all its tabs and processes. */
  close(): Promise<void>;
}

export type EngineName = 'chromium' | 'firefox' | 'webkit';

/** Milliseconds between two looks at a page's condition. */
export const POLL = 50;
