/** Once before all browser tests: the pages' copy of the OpenAI client. The site itself is built by `npm test`. */
import { existsSync } from 'node:fs';
import { build } from 'vite';
import { path } from './paths.ts';

export default async function globalSetup(): Promise<void> {
  if (!existsSync(path('dist/site/index.html'))) throw new Error('The site is not built: run `npm run build` first.');
  await build({
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      outDir: path('dist/test'),
      lib: { entry: path('node_modules/openai/index.mjs'), formats: ['es'], fileName: () => 'openai.js' },
    },
  });
}
