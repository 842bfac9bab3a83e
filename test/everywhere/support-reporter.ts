/** `npm run docs:support`: once all engines' tests are green, writes what they saw into docs/compatibility.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { FullResult, Reporter, Suite, TestCase } from '@playwright/test/reporter';
import type { EngineName } from '../support/engines/tab.ts';
import { path } from '../support/paths.ts';
import { readNotes } from './support-notes.ts';
import { BEGIN, END, type EngineResult, supportTable } from './support-table.ts';

const DOCUMENT = path('docs/compatibility.md');

export default class SupportReporter implements Reporter {
  #suite: Suite | undefined;

  onBegin(_: unknown, suite: Suite): void {
    this.#suite = suite;
  }

  onEnd({ status }: FullResult): void {
    const results = new Map(this.#suite?.suites.map((project) => [project.title, resultOf(project.allTests())]));
    const [chromium, firefox, webkit] = (['chromium', 'firefox', 'webkit'] satisfies EngineName[]).map((name) =>
      results.get(name),
    );
    if (status !== 'passed' || !chromium || !firefox || !webkit) {
      throw new Error(`${DOCUMENT} stays as it is: the table is made of green runs in all three engines.`);
    }
    const text = readFileSync(DOCUMENT, 'utf8');
    const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
    if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no lines "${BEGIN}" and "${END}" for the table.`);
    writeFileSync(
      DOCUMENT,
      text.slice(0, begin) + supportTable({ chromium, firefox, webkit }) + text.slice(end + END.length),
    );
  }
}

function resultOf(tests: readonly TestCase[]): EngineResult {
  const specs: EngineResult['specs'] = {};
  const notes = {};
  for (const test of tests) {
    const spec = basename(test.location.file, '.spec.ts');
    specs[spec] ??= { passed: 0, skipped: 0 };
    const counts = specs[spec];
    if (test.outcome() === 'skipped') counts.skipped++;
    else counts.passed++;
    for (const { annotations } of test.results) Object.assign(notes, readNotes(annotations));
  }
  return { specs, notes };
}
