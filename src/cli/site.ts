/** Which folder a site's files belong into, from what is in the folder that the command runs in. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface Site {
  /** Absolute: where the command runs. */
  root: string;
  /** Absolute: what is served at the site's base. */
  folder: string;
  /** Built by Vite, so that the plugin brings llamatab's files. */
  isVite: boolean;
  /** Absolute; null if a Vite site has none yet. */
  viteConfig: string | null;
}

const VITE_CONFIG = /^vite\.config\.[cm]?[jt]s$/;

/** What shows that a folder is served as it is. */
const SERVED = ['llamatab-sw.js', 'index.html'];

export function findSite(path: string): Site {
  const root = resolve(path);
  const config = existsSync(root) ? readdirSync(root).find((name) => VITE_CONFIG.test(name)) : undefined;
  const isVite = config !== undefined || dependsOnVite(root);
  const isServed = (folder: string) => SERVED.some((name) => existsSync(join(folder, name)));
  const inPublic = isVite || (!isServed(root) && isServed(join(root, 'public')));
  return {
    root,
    folder: inPublic ? join(root, 'public') : root,
    isVite,
    viteConfig: config === undefined ? null : join(root, config),
  };
}

function dependsOnVite(root: string): boolean {
  const path = join(root, 'package.json');
  if (!existsSync(path)) return false;
  const { dependencies = {}, devDependencies = {} } = JSON.parse(readFileSync(path, 'utf8'));
  return 'vite' in { ...dependencies, ...devDependencies };
}
