/** Raw wllama, loaded as the page's address says. */
import { wrap } from 'comlink';
import { contend, setup } from './contender.ts';
import type { RawWorker } from './raw-worker.ts';

const worker = wrap<RawWorker>(new Worker(new URL('./raw-worker.ts', import.meta.url), { type: 'module' }));

contend({
  load: () => worker.load(setup),
  completeAll: (prompts, tokens) => worker.complete(prompts, tokens),
  info: async () => null,
});
