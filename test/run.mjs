/**
 * `npm test`: installs what is missing, then checks and tests everything, in the order of what fails fastest.
 * @module
 */
import { findOrInstallChromium, installPackages, mustRun } from '../src/cli/prerequisites.mjs';

installPackages();
mustRun('npm', ['run', '--silent', 'lint']);
mustRun('npm', ['run', '--silent', 'typecheck']);
mustRun('npm', ['run', '--silent', 'test:unit']);
mustRun('npm', ['run', '--silent', 'build']);
const chromium = findOrInstallChromium();
const environment = chromium ? { CHROMIUM_PATH: chromium } : {};
mustRun('npm', ['run', '--silent', 'test:browser'], environment);
// Speeds are for the support table: nothing is wrong with a slow machine.
mustRun('npm', ['run', '--silent', 'test:everywhere', '--', '--grep-invert', 'speed.spec'], environment);
