/** The text for all measurements. README.md says where it is from. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../src/cli/prerequisites.mjs';

export const TEXT = readFileSync(join(root, 'bench/engine/text.txt'), 'utf8').trim();

export const WORDS = TEXT.split(/\s+/);
