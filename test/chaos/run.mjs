/**
 * `npm run chaos`: the long run, after a build. `-- 200` for so many faults, `-- 200 7` with a seed, which is otherwise drawn and printed.
 * @module
 */
import { randomInt } from 'node:crypto';
import { findOrInstallChromium, run } from '../../src/cli/prerequisites.mjs';

const [faults = '1000', seed = String(randomInt(2 ** 31))] = process.argv.slice(2);
const chromium = findOrInstallChromium();
const environment = {
  LLAMATAB_CHAOS_FAULTS: faults,
  LLAMATAB_CHAOS_SEED: seed,
  ...(chromium ? { CHROMIUM_PATH: chromium } : {}),
};
if (!run('npx', ['playwright', 'test', '--project=browser', 'test/chaos'], environment)) process.exit(1);
