/**
 * Installs what the tests in other engines need, where that can be done.
 * @module
 */
import { existsSync } from 'node:fs';
import { run } from '../../../src/cli/prerequisites.mjs';
import { findFirefox, findWebKit } from './find.mjs';

/** Where Debian's Mesa registers the Vulkan driver that computes on the CPU. */
export const LAVAPIPE = process.env.LAVAPIPE_PATH ?? '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json';

/** @type {Record<string, { find: () => unknown, packages: string[] }>} Packages of Debian. */
const NEEDED = {
  firefox: { find: findFirefox, packages: ['firefox-esr'] },
  webkit: { find: findWebKit, packages: ['webkit2gtk-driver', 'xvfb'] },
  'software GPU': { find: () => existsSync(LAVAPIPE), packages: ['mesa-vulkan-drivers', 'libvulkan1'] },
};

/**
 * Whether it is here, after an attempt to install it; where it is not, says so.
 * @param {'firefox' | 'webkit' | 'software GPU'} name
 */
export function isInstalled(name) {
  const { find, packages } = /** @type {{ find: () => unknown, packages: string[] }} */ (NEEDED[name]);
  if (find()) return true;
  console.error(`llamatab: no ${name} here; trying apt-get.`);
  const updated = run('apt-get', ['update']);
  if (updated && run('apt-get', ['install', '-y', '--no-install-recommends', ...packages]) && find()) return true;
  const what = packages.join(' and ');
  console.error(
    `\nllamatab: SKIPPED: the tests in ${name}, which is not here and could not be installed. Install what Debian calls ${what}.\n`,
  );
  return false;
}
