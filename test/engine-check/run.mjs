/**
 * `npm run engine:check -- <version>`: what of wllama's version still fits. CONTRIBUTING.md says how to go on.
 * @module
 */
import { findOrInstallChromium, installPackages } from '../../src/cli/prerequisites.mjs';

installPackages();
// It imports packages, which are there only now; and TypeScript, which Node 20 does not run.
const { runnerImport } = await import('vite');
const main = new URL('./main.ts', import.meta.url).pathname;
const { module } = await runnerImport(main, { configFile: false, logLevel: 'error' });
try {
  process.exitCode = module.check(process.argv.slice(2), findOrInstallChromium) ? 0 : 1;
} catch (error) {
  console.error(`llamatab: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
