import { defineConfig } from '@playwright/test';
import { ARGS, EXECUTABLE } from './test/support/chromium-options.ts';
import type { EngineOptions } from './test/support/everywhere.ts';

export default defineConfig<object, EngineOptions>({
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
  projects: [
    { name: 'browser', testIgnore: 'test/everywhere/**' },
    ...(['chromium', 'firefox', 'webkit'] as const).map((engine) => ({
      name: engine,
      testMatch: 'test/everywhere/*.spec.ts',
      use: { engine },
    })),
  ],
  use: {
    launchOptions: {
      ...EXECUTABLE,
      args: ARGS,
    },
  },
});
