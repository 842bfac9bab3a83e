/** How the tests start a Chromium. */
import type { LaunchOptions } from '@playwright/test';

/** No sandbox, which containers lack; and nothing of its own that would go over the network. */
export const ARGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-sync',
];

const { CHROMIUM_PATH } = process.env;

/** `CHROMIUM_PATH`, else the one that Playwright has. */
export const EXECUTABLE: LaunchOptions = CHROMIUM_PATH ? { executablePath: CHROMIUM_PATH } : {};

/** One that does not know Document-Isolation-Policy, as those of WebViews and older phones. */
export const WITHOUT_ISOLATION_POLICY: LaunchOptions = {
  ...EXECUTABLE,
  args: [
    '--no-sandbox',
    '--disable-features=DocumentIsolationPolicy',
    '--disable-blink-features=DocumentIsolationPolicy',
  ],
};
