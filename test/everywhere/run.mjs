/**
 * `npm run test:everywhere`, `test:chromium`, `test:firefox`, `test:webkit`: the specs of this folder, in the engines that are
 * named. Installs an engine that is missing, where it can; where it can't, it says so and goes on without. Further arguments are
 * Playwright's.
 * @module
 */
import { findOrInstallChromium, run } from '../../src/cli/prerequisites.mjs';
import { findFirefox, findWebKit } from '../support/engines/find.mjs';

/** @type {Record<string, { find: () => unknown, packages: string[] }>} Packages of Debian. */
const ENGINES = {
  firefox: { find: findFirefox, packages: ['firefox-esr'] },
  webkit: { find: findWebKit, packages: ['webkit2gtk-driver', 'xvfb'] },
};

const asked = process.argv.slice(2);
const engines = asked.filter((name) => name === 'chromium' || name in ENGINES);
const others = asked.filter((name) => !engines.includes(name));
// Also for the others: some tests hold an engine's results against Chromium's.
const chromium = findOrInstallChromium();
const there = engines.filter((name) => name === 'chromium' || isThere(name));
if (there.length > 0) {
  const projects = there.map((name) => `--project=${name}`);
  const environment = chromium ? { CHROMIUM_PATH: chromium } : {};
  if (!run('npx', ['playwright', 'test', ...projects, ...others], environment)) process.exit(1);
}

/** @param {string} name */
function isThere(name) {
  const { find, packages } = /** @type {{ find: () => unknown, packages: string[] }} */ (ENGINES[name]);
  if (find()) return true;
  console.error(`llamatab: no ${name} here; trying apt-get.`);
  if (
    run('apt-get', ['update']) &&
    run('apt-get', ['install', '-y', '--no-install-recommends', ...packages]) &&
    find()
  ) {
    return true;
  }
  console.error(
    `\nllamatab: SKIPPED: the tests in ${name}, which is not here and could not be installed. Install what Debian calls ${packages.join(' and ')}.\n`,
  );
  return false;
}
