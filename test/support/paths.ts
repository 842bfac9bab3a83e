import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { RuntimeManifest } from '../../src/protocol.ts';

/** A path of the repository, absolute. */
export const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));

/** What the built site's `llamatab/manifest.json` says. */
export const readManifest = (): RuntimeManifest =>
  JSON.parse(readFileSync(path('dist/site/llamatab/manifest.json'), 'utf8'));

/** The path in the built site of a file in `llamatab/`, which has its content's hash in its name: `worker.js`, `wllama.wasm`. */
export function runtimeFile(name: string): string {
  const file = readManifest().files[name];
  if (file === undefined) throw new Error(`The built site has no ${name}.`);
  return `/llamatab/${file}`;
}
