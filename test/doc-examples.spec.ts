/** The examples in the public API's doc comments, run as they are. `doc-examples.test.ts` checks their types. */
import type { Page } from '@playwright/test';
import { docExamples } from './support/doc-examples.ts';
import { expect, putTinyModels, test } from './support/fixtures.ts';
import { tinyModel } from './tiny-model/tiny-model.ts';

interface Expectation {
  /** What a person does on the page. */
  act?: (page: Page) => Promise<void>;
  /** In all that the example wrote to the console. */
  logs: RegExp;
}

const EXPECTED: Record<string, Expectation> = {
  serve: { logs: /\w/ },
  ServeOptions: { logs: /\w/ },
  'Server.fetch': { logs: /\w/ },
  'Server.subscribe': { logs: /^Tiny model for tests \(smollm2-135m-instruct\) is ready$/m },
  Models: { logs: /^smollm2-135m-instruct complete true$/m },
  'Models.addFiles': { act: dropModel, logs: /^added own-model$/m },
  'Models.export': { logs: /^\d{7,} bytes$/ },
  LlamatabError: { logs: /^model_not_found 404 .*no-such-model/ },
};

test.beforeEach(({ site }) => putTinyModels(site, { 'smollm2-135m-instruct': {} }));

for (const { of, code } of docExamples()) {
  test(of, async ({ page, site }) => {
    const expected = EXPECTED[of];
    if (expected === undefined) throw new Error(`Say in EXPECTED what the example of ${of} writes to the console.`);
    const logs: string[] = [];
    page.on('console', (message) => message.type() === 'log' && logs.push(message.text()));
    site.put('/test/example.js', code);
    await page.goto(`${site.url}test/doc-example.html`);
    await page.evaluate(() => import('/test/example.js' as string).then(() => {}));
    await expected.act?.(page);
    await expect.poll(() => logs.join('\n')).toMatch(expected.logs);
  });
}

function dropModel(page: Page): Promise<void> {
  return page.evaluate(
    (base64) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([bytes], 'own-model.gguf'));
      dispatchEvent(new DragEvent('drop', { dataTransfer }));
    },
    Buffer.from(tinyModel({ seed: 3 })).toString('base64'),
  );
}
