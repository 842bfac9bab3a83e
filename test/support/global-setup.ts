/** Once before all browser tests. The site itself is built by `npm test`. */
import { existsSync } from 'node:fs';
import { build } from 'vite';
import { path } from './paths.ts';

export default async function globalSetup(): Promise<void> {
  if (!existsSync(path('dist/site/examples/openai.js'))) {
    throw new Error('The site is not built: run `npm run build` first.');
  }
  // What tests run in a page, and a page can't load as it is.
  await build({
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    build: {
      outDir: path('dist/test'),
      target: 'es2022',
      minify: false,
      lib: {
        entry: {
          constraints: path('test/bundles/constraints.ts'),
          fuzz: path('test/bundles/fuzz.ts'),
          clients: path('test/bundles/clients.ts'),
          kernels: path('test/bundles/kernels.ts'),
          'fake-gpu': path('test/bundles/fake-gpu.ts'),
          'poll-gpu': path('test/bundles/poll-gpu.ts'),
        },
        formats: ['es'],
      },
    },
  });
}
