/**
 * `npm run bench:engine`: how fast the engine is, and whether it is right. See README.md.
 * @module
 */
import { installPackages } from '../../src/cli/prerequisites.mjs';

installPackages();
// It imports packages, which are there only now; and TypeScript, which Node 20 does not run.
const { runnerImport } = await import('vite');
const main = new URL('./main.ts', import.meta.url).pathname;
const { module } = await runnerImport(main, { configFile: false, logLevel: 'error' });
// Imports what is installed later: Vite's runner is closed by then.
await module.main((/** @type {string} */ url) => import(url));
