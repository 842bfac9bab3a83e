/** How a hub's models are named: `owner/repo`, or `owner/repo:quant`. */
import { LlamatabError } from '../errors.ts';

const HUB_NAME = /^([\w.-]+\/[\w.-]+)(?::([\w.-]+))?$/;

/** Whether it looks like one, as the path of a file may, too. */
export function isHubName(name: string): boolean {
  return HUB_NAME.test(name);
}

/** @throws LlamatabError `invalid_request_error` if it is not `owner/repo` or `owner/repo:quant`. */
export function parseHubName(name: string): { repo: string; tag: string } {
  const found = HUB_NAME.exec(name);
  if (found === null || name.includes('..')) {
    throw new LlamatabError(
      'invalid_request_error',
      `'${name}' is not the name of a model on a hub: it should be owner/repo or owner/repo:quant, as in ggml-org/gemma-3-1b-it-GGUF:Q4_K_M.`,
      { param: 'model' },
    );
  }
  return { repo: found[1] ?? '', tag: found[2] ?? '' };
}
