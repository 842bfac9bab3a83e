import { expect, it } from 'vitest';
import { type EngineResult, supportTable } from './support-table.ts';

const result = (version: string, speed: number, skipped = 0): EngineResult => ({
  specs: { tabs: { passed: 7 - skipped, skipped } },
  notes: {
    version,
    speed: { prompt: speed, predicted: speed / 2 },
    runtime: { threads: 1, variant: 'simd128', compat: version === '2.50' },
  },
});

it('has a column for each engine, speeds relative to Chromium, and the reasons of what is missing', () => {
  const table = supportTable({
    chromium: result('156.0', 80),
    firefox: result('153.7', 60),
    webkit: result('2.50', 20, 2),
  });
  const row = (title: string) => table.split('\n').find((line) => line.startsWith(`| ${title}`));
  expect(row(' |')).toBe('|  | Chromium 156.0 | Firefox 153.7 | WebKitGTK 2.50 |');
  expect(row('one engine for all tabs')).toContain('| yes | yes | yes, without 2 of 7 tests |');
  expect(row('the console')).toContain('| not tested | not tested | not tested |');
  expect(row('build of the engine')).toContain(
    '| `simd128`, 1 thread | `simd128`, 1 thread | compatible, `simd128`, 1 thread |',
  );
  expect(row('embedded model, reading')).toContain('| 100 % | 75 % | 25 % |');
  expect(row('shared memory')).toContain('| yes | yes | no |');
  expect(table).toContain('- WebKitGTK without shared memory: ');
});
