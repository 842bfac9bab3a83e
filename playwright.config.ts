import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: './test',
  testMatch: '**/*.spec.ts',
  globalSetup: './test/support/global-setup.ts',
  outputDir: './test-results',
  // The engine takes every core: two tests at once would only slow each other down.
  workers: 1,
  forbidOnly: Boolean(process.env.CI),
  // A retry would hide a race.
  retries: 0,
  // Loading the real model on a slow machine takes a while; a hang must still end the run.
  timeout: 180_000,
  expect: { timeout: 60_000 },
  reporter: [['list']],
  use: {
    launchOptions: {
      ...(process.env.CHROMIUM_PATH ? { executablePath: process.env.CHROMIUM_PATH } : {}),
      args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-sync'],
    },
  },
});
