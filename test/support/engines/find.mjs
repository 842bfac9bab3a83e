/**
 * Where this machine has the browsers that Playwright does not bring along. Plain JavaScript: `npm test` asks before anything is
 * compiled.
 * @module
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {object} WebKit
 * @property {string} driver
 * @property {string} browser The smallest of WebKitGTK's browsers, which comes with it for such purposes.
 * @property {string} xvfb A screen, which it can't do without.
 */

/** @returns {string | undefined} `FIREFOX_PATH`, or the path of one that is installed */
export function findFirefox() {
  const places = ['/usr/bin/firefox-esr', '/usr/bin/firefox', '/Applications/Firefox.app/Contents/MacOS/firefox'];
  return [process.env.FIREFOX_PATH, ...places].find((path) => path && existsSync(path));
}

/** @returns {WebKit | undefined} */
export function findWebKit() {
  const [driver, xvfb] = ['/usr/bin/WebKitWebDriver', '/usr/bin/Xvfb'];
  // /usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/ on Debian, /usr/libexec/webkitgtk-6.0/ on Fedora.
  const parents = ['/usr/libexec', '/usr/lib', ...folders('/usr/lib').filter((path) => /-linux-gnu/.test(path))];
  const browser = parents
    .flatMap(folders)
    .filter((path) => /\/webkit2?gtk-[\d.]+$/.test(path))
    .map((path) => join(path, 'MiniBrowser'))
    .find((path) => existsSync(path));
  return browser !== undefined && existsSync(driver) && existsSync(xvfb) ? { driver, browser, xvfb } : undefined;
}

/**
 * @param {string} parent
 * @returns {string[]} paths; none of a folder that is not there
 */
function folders(parent) {
  return existsSync(parent) ? readdirSync(parent).map((name) => join(parent, name)) : [];
}
