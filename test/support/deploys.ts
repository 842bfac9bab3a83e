/** Deploys of a site, for tests: other versions of the engine's files. */
import { readFileSync } from 'node:fs';
import type { RuntimeManifest } from '../../src/protocol.ts';
import { path, readManifest } from './paths.ts';
import type { SiteServer } from './site-server.ts';

/**
 * Puts another version of the engine's files in place of the built ones, as an update of llamatab does: they have other names, those of
 * the last version are gone, and every cache may keep everything for a year.
 */
export function deploy(
  site: SiteServer,
  version: number,
  change: Partial<RuntimeManifest> = {},
  caching = 'max-age=31536000',
): void {
  const built = readManifest();
  const send = (pathname: string, type: string, content: string | Uint8Array) =>
    site.route(pathname, (_, response) => {
      response.setHeader('Content-Type', type);
      response.setHeader('Cache-Control', caching);
      response.end(content);
    });
  const gone = (name: string) => site.route(`/llamatab/${name}`, (_, response) => void response.writeHead(404).end());
  const nameIn = (version: number, name: string) => name.replace(/-[\w-]{8}(\.\w+)$/, `-of-${version}$1`);

  const files = Object.entries(built.files);
  const renamed = (text: string) =>
    files.reduce((text, [, file]) => text.replaceAll(`./${file}`, `./${nameIn(version, file)}`), text);
  for (const [, file] of files) {
    gone(file);
    gone(nameIn(version - 1, file));
    const content = readFileSync(path(`dist/site/llamatab/${file}`));
    const name = `/llamatab/${nameIn(version, file)}`;
    if (file.endsWith('.wasm')) send(name, 'application/wasm', content);
    else send(name, 'text/javascript', renamed(content.toString()));
  }
  const manifest = {
    ...built,
    files: Object.fromEntries(files.map(([name, file]) => [name, nameIn(version, file)])),
    ...change,
  };
  send('/llamatab/manifest.json', 'application/json', JSON.stringify(manifest));
}

/** Of the engine's code, the version that was asked for last. */
export const lastOf = (site: SiteServer) => site.requests.filter((path) => /\/(build|worker).*-of-/.test(path)).at(-1);
