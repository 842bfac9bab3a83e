/** Answers Node's calls to this page. Posting an answer fetches the next call. */
import type { Call, Commands, PageMessage } from '../protocol.ts';

export async function answerCalls<Page extends Commands<Page>>(page: Page): Promise<never> {
  let body: PageMessage = 'ready';
  for (;;) {
    const response: Response = await fetch('/call', { method: 'POST', body: JSON.stringify(body) });
    const call: Call = await response.json();
    try {
      body = { result: (await page[call.name as keyof Page](...call.args)) ?? null };
    } catch (error) {
      body = { error: String(error) };
    }
  }
}
