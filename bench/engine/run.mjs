/**
 * `npm run bench:engine`: how fast the engine is, and whether it is right. See README.md.
 * @module
 */
import { installPackages } from '../../src/cli/prerequisites.mjs';

installPackages();
// It imports packages, which may have been installed only just now, and is TypeScript, which Node 20 can't run.
const { runnerImport } = await import('vite');
const main = new URL('./main.ts', import.meta.url).pathname;
const { module } = await runnerImport(main, { configFile: false, logLevel: 'error' });
// For packages that are installed later, when Vite's runner is closed.
await module.main((/** @type {string} */ url) => import(url));
