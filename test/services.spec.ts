/** llama-server's routes beside the completions, on the real engine, by plain fetch. */
import type { Page } from '@playwright/test';
import { chat, ENDLESS, expect, fetchIn, serveEndless, serveIn, test, user } from './support/fixtures.ts';

const question = { messages: user('hello'), max_tokens: 8, temperature: 0 };

const metric = async (page: Page, name: string) => {
  const { text } = await fetchIn(page, '/metrics');
  return Number(text.match(new RegExp(`^llamacpp:${name} (.*)$`, 'm'))?.[1]);
};

test('props, slots and metrics tell what the engine does', async ({ page, site }) => {
  await serveEndless(page, site);
  const props = (await fetchIn(page, '/props')).json;
  expect(props).toMatchObject({
    model_alias: 'tiny',
    bos_token: '<|endoftext|>',
    eos_token: '<|im_end|>',
    chat_template_caps: { supports_tools: false, supports_system_role: true },
    build_info: expect.stringMatching(/^b\d+-/),
  });
  const idle = (await fetchIn(page, '/slots')).json;
  expect(idle).toHaveLength(props.total_slots);
  expect(idle[0]).toEqual({
    id: 0,
    n_ctx: props.default_generation_settings.n_ctx,
    speculative: false,
    is_processing: false,
  });

  await chat(page, question);
  expect(await metric(page, 'tokens_predicted_total')).toBe(8);
  expect(await metric(page, 'prompt_tokens_total')).toBeGreaterThan(8);
  expect(await metric(page, 'n_decode_total')).toBeGreaterThanOrEqual(8);
  expect(await metric(page, 'n_busy_slots_per_decode')).toBe(1);

  const abort = await page.evaluateHandle(async (max_tokens) => {
    const abort = new AbortController();
    const body = JSON.stringify({ prompt: 'a long one', max_tokens, temperature: 0.5, stream: true });
    const response = await fetch('/v1/completions', { method: 'POST', body, signal: abort.signal });
    await response.body?.getReader().read();
    return abort;
  }, ENDLESS);
  const [busy, ...others] = (await fetchIn(page, '/slots')).json;
  expect(busy).toMatchObject({ id: 0, is_processing: true, params: { temperature: 0.5, stream: true } });
  expect(busy.next_token[0].n_decoded).toBeGreaterThan(0);
  expect(others.some((slot: { is_processing: boolean }) => slot.is_processing)).toBe(false);
  expect(await metric(page, 'requests_processing')).toBe(1);
  await abort.evaluate((abort) => abort.abort());
  await expect.poll(() => metric(page, 'requests_processing')).toBe(0);
});

test('errors, methods and headers of plain fetches', async ({ page, site }) => {
  await serveIn(page, site);
  const answers = await page.evaluate(async () => {
    const ask = async (method: string, path: string) => {
      const response = await fetch(path, { method });
      return [method, path, response.status, (await response.text()).slice(0, 120)];
    };
    return [
      await ask('HEAD', '/health'),
      await ask('OPTIONS', '/v1/chat/completions'),
      await ask('PUT', '/v1/completions'),
      await ask('POST', '/slots/0?action=save'),
      await ask('GET', '/tools'),
      await ask('GET', '/lora-adapters'),
      await ask('DELETE', '/v1/stream?conv_id=none'),
    ];
  });
  expect(answers).toEqual([
    ['HEAD', '/health', 200, ''],
    ['OPTIONS', '/v1/chat/completions', 200, ''],
    ['PUT', '/v1/completions', 404, expect.stringContaining('File Not Found')],
    ['POST', '/slots/0?action=save', 501, expect.stringContaining('does not support slots action')],
    ['GET', '/tools', 403, expect.stringContaining('this feature is disabled')],
    ['GET', '/lora-adapters', 200, '[]'],
    ['DELETE', '/v1/stream?conv_id=none', 204, ''],
  ]);
});

test('an API key, by fetch and by the OpenAI client', async ({ page, site }) => {
  await serveIn(page, site, { apiKey: 'secret' });
  const { status, json } = await fetchIn(page, '/v1/chat/completions', question);
  expect([status, json.error]).toEqual([
    401,
    { message: 'Invalid API Key', type: 'authentication_error', code: 401, param: null },
  ]);
  expect((await fetchIn(page, '/health')).status).toBe(200);
  const told = await page.evaluate(async () => {
    // The handle shows the key by itself.
    await server.models.load();
    const client = (apiKey: string) => new OpenAI({ baseURL: server.baseURL, apiKey, dangerouslyAllowBrowser: true });
    const ask = (apiKey: string) =>
      client(apiKey).chat.completions.create({
        model: 'local',
        messages: [{ role: 'user', content: 'hi' }],
        max_tokens: 4,
      });
    const refused = await ask('wrong').catch((error: { status: number }) => error.status);
    return [refused, (await ask('secret')).choices[0]?.message.content?.length];
  });
  expect(told).toEqual([401, 4]);
});
