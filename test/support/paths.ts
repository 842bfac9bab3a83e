import { fileURLToPath } from 'node:url';

/** A path of the repository, absolute. */
export const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
