/** llamatab's own files, as the Vite plugin and `npx llamatab init` put them into a site. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { type EngineBuild, withoutBuilds } from '../engine-builds.ts';
import type { RuntimeManifest } from '../protocol.ts';

const MANIFEST = 'llamatab/manifest.json';

/**
 * By their path below the site's base, with slashes; the manifest, which names the others, comes last. Empty if the folder holds no
 * build of llamatab.
 * @param folder of the package, or of the repository.
 * @param added Names of further files in `llamatab/`: what the manifest does not name, the service worker does not keep for offline visits.
 */
export function runtimeFiles(
  folder: string,
  leaveOut: readonly EngineBuild[],
  added: readonly string[] = [],
): Map<string, () => Uint8Array> {
  const names = listFiles(folder);
  if (!names.includes('llamatab-sw.js') || !names.includes(MANIFEST)) return new Map();
  const whole: RuntimeManifest = JSON.parse(readFileSync(join(folder, MANIFEST), 'utf8'));
  const manifest = withoutBuilds(whole, leaveOut);
  const kept = new Set(Object.values(manifest.files));
  const dropped = new Set(Object.values(whole.files).filter((name) => !kept.has(name)));
  const files = names.filter((name) => name !== MANIFEST && !dropped.has(name.slice('llamatab/'.length)));
  Object.assign(manifest.files, Object.fromEntries(added.map((name) => [name, name])));
  return new Map([
    ...files.map((name): [string, () => Uint8Array] => [name, () => readFileSync(join(folder, name))]),
    [MANIFEST, () => Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`)],
  ]);
}

/** Paths of a folder's files, relative to it, with slashes. */
export function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => statSync(join(folder, path)).isFile());
}
