/** Raw wllama, set up as the address says. */
import { wrap } from 'comlink';
import { contend } from './completion.ts';
import type { RawWorker } from './raw-worker.ts';

const setup = JSON.parse(new URLSearchParams(location.search).get('setup') ?? '');
const worker = wrap<RawWorker>(new Worker(new URL('./raw-worker.ts', import.meta.url), { type: 'module' }));

contend(worker.load(setup), (prompts, tokens) => worker.complete(prompts, tokens));
