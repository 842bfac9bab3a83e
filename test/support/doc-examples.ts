/** The `@example`s of the public API's doc comments, out of the source. */
import { readFileSync } from 'node:fs';
import { path } from './paths.ts';

export interface DocExample {
  /** What it is an example of: `serve`, `Server.fetch`, … */
  of: string;
  code: string;
}

/** Where `src/index.ts` takes its exports from. */
const SOURCES = ['src/errors.ts', 'src/page/api.ts', 'src/page/serve.ts'];

/** A doc comment, its indentation, and the line after it. */
const COMMENT = /^( *)\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n(.*)/gm;
const FENCE = /^ *\* ```ts\n([\s\S]*?)^ *\* ```$/gm;
/** A declaration's, or a member's. */
const NAME = /^ *(?:(?:export|async|readonly|function|class|interface) )*(\w+)/;

export function docExamples(): DocExample[] {
  return SOURCES.flatMap((source) => {
    let parent = '';
    return [...readFileSync(path(source), 'utf8').matchAll(COMMENT)].flatMap(([, indent, comment = '', line = '']) => {
      const name = NAME.exec(line)?.[1] ?? '';
      if (indent === '') parent = name;
      return [...comment.matchAll(FENCE)].map(([, code = '']) => ({
        of: indent === '' ? name : `${parent}.${name}`,
        code: code.replaceAll(/^ *\* ?/gm, ''),
      }));
    });
  });
}
