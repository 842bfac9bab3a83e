/** The code blocks of the README and of docs/. */
import { readdirSync, readFileSync } from 'node:fs';
import { path } from './paths.ts';

export interface DocBlock {
  /** `docs/api.md:42`, where its first line is. */
  at: string;
  /** `ts`, `js`, `json`, `sh`, …; empty where nothing is said. */
  language: string;
  code: string;
}

const FENCE = /^ *```(\S*).*\n([\s\S]*?)^ *```$/gm;

export function docBlocks(): DocBlock[] {
  const files = [
    'README.md',
    ...readdirSync(path('docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  return files.flatMap((file) => {
    const text = readFileSync(path(file), 'utf8');
    return [...text.matchAll(FENCE)].map(({ index, 1: language = '', 2: code = '' }) => ({
      at: `${file}:${text.slice(0, index).split('\n').length + 1}`,
      language,
      code,
    }));
  });
}
