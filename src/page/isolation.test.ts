import { expect, it } from 'vitest';
import type { IsolationPolicy } from '../protocol.ts';
import { nextPolicy } from './isolation.ts';

/** What a tab tries, in a browser that isolates pages by no policy but those of `works`. */
function tries(likely: IsolationPolicy, works: IsolationPolicy[], kept: IsolationPolicy | null = null) {
  const tried: IsolationPolicy[] = [];
  for (;;) {
    kept = nextPolicy(kept, tried, likely);
    if (kept === 'none') return [...tried, kept];
    tried.push(kept);
    if (works.includes(kept)) return tried;
  }
}

it.each([
  ['Chromium', 'document-isolation', ['document-isolation', 'credentialless'], ['document-isolation']],
  ['an older Chromium', 'document-isolation', ['credentialless'], ['document-isolation', 'credentialless']],
  ['Firefox', 'credentialless', ['credentialless', 'require-corp'], ['credentialless']],
  ['Safari', 'credentialless', ['require-corp'], ['credentialless', 'require-corp']],
  ['a browser that knows none', 'credentialless', [], ['credentialless', 'require-corp', 'none']],
  ['one that seems to know all', 'document-isolation', [], ['document-isolation', 'credentialless', 'none']],
] as const)('%s', (_, likely, works, expected) => {
  expect(tries(likely, [...works])).toEqual(expected);
});

it('begins with what the site has come to', () => {
  expect(tries('credentialless', ['require-corp'], 'require-corp')).toEqual(['require-corp']);
  expect(tries('document-isolation', [], 'none')).toEqual(['none']);
});
