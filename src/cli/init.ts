/** `npx llamatab init`: the plugin into a Vite site, or llamatab's files into any other. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EngineBuild } from '../engine-builds.ts';
import { LlamatabError } from '../errors.ts';
import { size as sizeInWords } from '../models/http.ts';
import { listFiles, runtimeFiles } from './runtime-files.ts';
import { findSite, type Site } from './site.ts';

export interface Init {
  /** Folder of the site. */
  root: string;
  leaveOut: EngineBuild[];
}

type Print = (line: string) => void;

/** The page's side of llamatab as one module, and where a site without a bundler finds it. */
const PAGE_MODULE = fileURLToPath(new URL('./page/llamatab.js', import.meta.url));
const RUNTIME = fileURLToPath(new URL('./runtime', import.meta.url));

const IMPORT = "import { llamatab } from 'llamatab/vite';\n";

/**
 * Running it again changes nothing, or brings the files of a newer version.
 * @param from where llamatab's own files are; tests have others.
 * @throws LlamatabError naming what is to be done by hand
 */
export function init({ root, leaveOut }: Init, print: Print, from = { runtime: RUNTIME, page: PAGE_MODULE }): void {
  const site = findSite(root);
  if (site.isVite) initVite(site, leaveOut, print);
  else copyFiles(site, leaveOut, from, print);
  print('');
  print('Then a model, if the site has none yet:');
  print('  npx llamatab add smollm2-135m-instruct');
}

// --- with Vite -------------------------------------------------------------------------------------------------------

function initVite({ root, viteConfig }: Site, leaveOut: readonly EngineBuild[], print: Print): void {
  const call =
    leaveOut.length === 0
      ? 'llamatab()'
      : `llamatab({ leaveOut: [${leaveOut.map((build) => `'${build}'`).join(', ')}] })`;
  if (viteConfig === null) {
    const path = join(root, existsSync(join(root, 'tsconfig.json')) ? 'vite.config.ts' : 'vite.config.js');
    writeFileSync(
      path,
      `${IMPORT}import { defineConfig } from 'vite';\n\nexport default defineConfig({\n  plugins: [${call}],\n});\n`,
    );
    print(`Wrote ${basename(path)}, with llamatab's plugin.`);
  } else if (readFileSync(viteConfig, 'utf8').includes('llamatab/vite')) {
    print(`${basename(viteConfig)} has llamatab's plugin already.`);
  } else {
    writeFileSync(viteConfig, withPlugin(readFileSync(viteConfig, 'utf8'), call, viteConfig));
    print(`Added llamatab's plugin to ${basename(viteConfig)}.`);
  }
  print('In a script of your page:');
  print("  import { serve } from 'llamatab';");
  print('  const server = await serve();');
  print("  // From here on, fetch('/v1/chat/completions') is answered on the device.");
}

/** A configuration as `npm create vite` and most people write it. @throws LlamatabError if it is written otherwise */
function withPlugin(config: string, call: string, path: string): string {
  const lists = [...config.matchAll(/\bplugins:\s*\[/g)];
  const [list] = lists;
  const isEmpty = /\bdefineConfig\(\{\s*\}\)/;
  if (lists.length === 1 && list !== undefined) {
    const at = list.index + list[0].length;
    const rest = config.slice(at);
    return `${IMPORT}${config.slice(0, at)}${call}${/^\s*\]/.test(rest) ? '' : ', '}${rest}`;
  }
  if (lists.length === 0 && isEmpty.test(config)) {
    return `${IMPORT}${config.replace(isEmpty, `defineConfig({\n  plugins: [${call}],\n})`)}`;
  }
  throw new LlamatabError(
    'invalid_request_error',
    `${path} is left as it is, because it has no list of plugins, or several. Add two things to it:\n  ${IMPORT}  plugins: [${call}, …]`,
  );
}

// --- without ---------------------------------------------------------------------------------------------------------

function copyFiles(
  { root, folder }: Site,
  leaveOut: readonly EngineBuild[],
  { runtime, page }: { runtime: string; page: string },
  print: Print,
): void {
  const module = `llamatab/${basename(page)}`;
  const files = new Map([
    [module, () => Buffer.from(BASE + readFileSync(page, 'utf8'))],
    ...runtimeFiles(runtime, leaveOut, [basename(page)]),
  ]);
  for (const [file, content] of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), content());
  }
  const written = [...files.keys()];
  const bytes = written.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  const where = relative(root, folder) || '.';
  print(
    `Wrote llamatab-sw.js and llamatab/ to ${where}: ${written.length} files, ${sizeInWords(bytes)}. A browser fetches the one build that it can run, 10 to 19 MB.`,
  );
  const old = listFiles(join(folder, 'llamatab')).filter(
    (file) => !written.includes(`llamatab/${file}`) && file !== 'files.json',
  );
  if (old.length > 0) {
    print(
      `Not of this version: ${old.map((file) => `llamatab/${file}`).join(', ')}. Delete them once no open tab uses them.`,
    );
  }
  print('Three lines for a page beside llamatab-sw.js:');
  print('  <script type="module">');
  print(`    import { serve } from './llamatab/${basename(page)}';`);
  print('    const server = await serve();');
  print('  </script>');
}

/** In place of what the Vite plugin writes into the code: the module's own address tells the site's base. */
const BASE = "const __LLAMATAB_BASE__ = new URL('..', import.meta.url).href;\n";
