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
mustRun('npm', ['run', '--silent', 'test:browser'], chromium ? { CHROMIUM_PATH: chromium } : {});
