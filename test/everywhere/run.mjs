/**
 * `npm run test:everywhere`, `test:chromium`, `test:firefox`, `test:webkit`: the specs of this folder, in the engines that are
 * named. Installs an engine that is missing, where it can; where it can't, it says so and goes on without. Further arguments are
 * Playwright's.
 * @module
 */
import { findOrInstallChromium, run } from '../../src/cli/prerequisites.mjs';
import { isInstalled } from '../support/engines/install.mjs';

const asked = process.argv.slice(2);
const engines = asked.filter((name) => name === 'chromium' || name === 'firefox' || name === 'webkit');
const others = asked.filter((name) => !engines.some((engine) => engine === name));
// Also for the others: some tests hold an engine's results against Chromium's.
const chromium = findOrInstallChromium();
const there = engines.filter((name) => name === 'chromium' || isInstalled(name));
if (there.length > 0) {
  const projects = there.map((name) => `--project=${name}`);
  const environment = chromium ? { CHROMIUM_PATH: chromium } : {};
  if (!run('npx', ['playwright', 'test', ...projects, ...others], environment)) process.exit(1);
}
