/** The package as users get it: packed by npm, and installed from the tarball into a folder whose sites then use it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { path } from './paths.ts';

/**
 * Sites in here find `llamatab` as it was packed. Other packages they find further up, in the repository's `node_modules`, so that
 * nothing is fetched from a registry.
 */
export const PACKED = path('dist/packed');

const STAMP = join(PACKED, 'stamp');

/** Packs what is built and installs it, unless that was done. */
export function installPacked(): void {
  const built = stampOf(path('dist/lib'));
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === built) return;
  rmSync(PACKED, { recursive: true, force: true });
  mkdirSync(PACKED, { recursive: true });
  writeFileSync(join(PACKED, 'package.json'), '{ "private": true, "type": "module" }');
  // What `prepack` builds is built already.
  const tarball = npm(path('.'), 'pack', '--ignore-scripts', '--silent', '--pack-destination', PACKED).trim();
  npm(PACKED, 'install', '--offline', '--no-audit', '--no-fund', '--no-package-lock', `./${tarball}`);
  writeFileSync(STAMP, built);
}

function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function stampOf(folder: string): string {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return files
    .map((file) => {
      const { size, mtimeMs } = statSync(join(folder, file));
      return `${file} ${size} ${mtimeMs}`;
    })
    .join('\n');
}

/** An empty folder for a site. */
export function newSite(name: string, files: Record<string, string | Uint8Array> = {}): string {
  const folder = join(PACKED, name);
  rmSync(folder, { recursive: true, force: true });
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(folder, file, '..'), { recursive: true });
    writeFileSync(join(folder, file), content);
  }
  return folder;
}

/** `npx llamatab` in a site's folder. @returns what it printed */
export function llamatab(cwd: string, ...args: string[]): string {
  return execFileSync(join(PACKED, 'node_modules/.bin/llamatab'), args, { cwd, encoding: 'utf8' });
}
