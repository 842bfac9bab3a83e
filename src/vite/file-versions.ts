/** Part of the build: a version of each file by its content, so that no cache mixes the files of two deploys. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of files that keep their names: by name, eight hexadecimal digits of the content's hash. None while the folder is not built. */
export function fileVersions(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  const names = readdirSync(folder).filter((name) => /\.(js|wasm)$/.test(name));
  return Object.fromEntries(names.map((name) => [name, versionOf(readFileSync(join(folder, name)))]));
}

export function versionOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 8);
}
