#!/usr/bin/env node
/** `npx llamatab`: manages a site's models from the command line. */
import { LlamatabError } from '../errors.ts';
import { addToCatalog, checkCatalog } from './catalog.ts';
import { parseAdd, parseCheck, UsageError } from './options.ts';

const USAGE = `llamatab ${__LLAMATAB_VERSION__}

  llamatab catalog add FILE|URL|owner/repo[:quant] [options]   adds a model to a site's catalog
  llamatab catalog check [--catalog PATH]                      checks the catalog, and the sizes and hashes of its files

catalog add reads the GGUF's header, hashes the file, and cuts it by bytes where it is over --limit; the pieces go into a
folder beside the catalog. A URL or a hub's name is read once for its hashes, and is what visitors download from, unless
--copy takes the file into the site. Of a model in shards, give the first one.

  --catalog PATH        default: public/models/catalog.json; made if it is not there
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
async function main([command, subcommand, ...rest]: string[]): Promise<number> {
  const print = (line: string) => console.log(line);
  try {
    if (command === undefined || command === '--help' || command === '-h' || rest.includes('--help')) {
      print(USAGE);
      return command === undefined ? 2 : 0;
    }
    if (command === '--version') {
      print(__LLAMATAB_VERSION__);
      return 0;
    }
    if (command === 'catalog' && subcommand === 'add') await addToCatalog(parseAdd(rest, process.env), print);
    else if (command === 'catalog' && subcommand === 'check')
      return (await checkCatalog(parseCheck(rest), print)) ? 0 : 1;
    else throw new UsageError(`There is no command '${[command, subcommand].filter(Boolean).join(' ')}'.`);
    return 0;
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
