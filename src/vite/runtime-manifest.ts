/**
 * Part of the build: the files of `llamatab/` are named by their content, so that no cache mixes those of two deploys, and
 * `manifest.json` says which they are. It alone keeps its name, and pages always ask the host whether theirs is the newest.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';
import type { RuntimeManifest } from '../protocol.ts';

/** `wllama.wasm` → `wllama-<hash>.wasm`, with the first eight hexadecimal digits of the content's SHA-256. */
function nameByContent(name: string, content: Uint8Array): string {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8);
  return name.replace(/\.(\w+)$/, `-${hash}.$1`);
}

/** What goes into the folder beside the worker and its chunks, by the name without hash. */
export type RuntimeFiles = ReadonlyMap<string, Uint8Array>;

/** Writes the engine's files, and the manifest of them and of the worker, which is the build's one entry. */
export function runtimeManifest(
  { version, protocol }: Pick<RuntimeManifest, 'version' | 'protocol'>,
  engineFiles: () => RuntimeFiles,
): Plugin {
  return {
    name: 'llamatab:runtime-manifest',
    writeBundle({ dir = '' }, bundle) {
      const files: RuntimeManifest['files'] = {};
      for (const output of Object.values(bundle)) {
        if (output.type === 'chunk') files[output.isEntry ? `${output.name}.js` : output.fileName] = output.fileName;
      }
      for (const [name, content] of engineFiles()) {
        files[name] = nameByContent(name, content);
        writeFileSync(join(dir, files[name]), content);
      }
      const manifest: RuntimeManifest = { version, protocol, files };
      writeFileSync(join(dir, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`);
    },
  };
}
