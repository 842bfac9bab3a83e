#!/usr/bin/env node
/** `npx llamatab`: puts llamatab and models into a site, from the command line. */
import { relative } from 'node:path';
import { LlamatabError } from '../errors.ts';
import { addToCatalog, checkCatalog } from './catalog.ts';
import { init } from './init.ts';
import { parseAdd, parseCheck, parseInit, UsageError } from './options.ts';
import { findSite } from './site.ts';

const USAGE = `llamatab ${__LLAMATAB_VERSION__}

  llamatab init [FOLDER] [--leave-out BUILDS]            makes a folder a site with llamatab: with Vite, its plugin into the
                                                         configuration; else the service worker and the engine's files
  llamatab add ID|FILE|URL|owner/repo[:quant] [options]  adds a model to the site
  llamatab check [--catalog PATH]                        checks the catalog, and the sizes and hashes of its files

Each can be run again: what is there already stays. The models that come with llamatab are in the package llamatab-models, and
have the ids smollm2-135m-instruct and all-minilm-l6-v2.

init --leave-out compat,stock,relaxed,simd128: leaves out builds of the engine. compat (38 of the 67 MB) is for browsers without
JSPI or memory64 (Firefox, Safari), stock for those without SIMD. A visitor's browser fetches one build.

add reads the GGUF's header, hashes the file, and cuts it by bytes where it is over --limit; the pieces go into a
folder beside the catalog. A URL or a hub's name is read once for its hashes, and is what visitors download from, unless
--copy takes the file into the site. Of a model in shards, give the first one.

  --catalog PATH        default: models/catalog.json in the folder that is served (public/, with Vite); made if it is not there
  --id ID               what requests call it; default: from the file's name
  --alias NAME          a further name; more than once for several
  --name TEXT  --authors TEXT  --license SPDX-ID  --license-url URL  --homepage URL
                        where the header does not say it, or says it wrong
  --context TOKENS      shorter than what the model was trained for
  --projector FILE      of a local model that sees or hears (mmproj)
  --limit SIZE          largest file that the host takes: 24M (default), 90M, 2G, or none
  --copy                with a URL: takes the file into the site
  --token TOKEN         with a URL of a private repository, for this download only (or HF_TOKEN)
  --default             make it the model that "local" means
  --replace             replace the entry of the same id
  --dry-run             only say what would be done

Exit status: 0, 1 where something is wrong with the model or the catalog, 2 where something is wrong with the command.
`;

/** @returns the exit status */
async function main(all: string[]): Promise<number> {
  const print = (line: string) => console.log(line);
  // `catalog add` and `catalog check` are the earlier names of `add` and `check`.
  const [command, ...args] = all[0] === 'catalog' ? all.slice(1) : all;
  try {
    if (command === undefined || command === '--help' || command === '-h' || args.includes('--help')) {
      print(USAGE);
      return command === undefined ? 2 : 0;
    }
    if (command === '--version') {
      print(__LLAMATAB_VERSION__);
      return 0;
    }
    const served = () => relative(process.cwd(), findSite('.').folder) || '.';
    switch (command) {
      case 'init':
        init(parseInit(args), print);
        return 0;
      case 'add':
        await addToCatalog(parseAdd(args, process.env, served()), print);
        return 0;
      case 'check':
        return (await checkCatalog(parseCheck(args, served()), print)) ? 0 : 1;
      default:
        throw new UsageError(`There is no command '${command}'.`);
    }
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`llamatab: ${error.message} See llamatab --help.`);
      return 2;
    }
    // An error that we know says what to do; for any other, the stack says where it came from.
    console.error(error instanceof LlamatabError ? `llamatab: ${error.message}` : error);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
