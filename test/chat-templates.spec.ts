/**
 * Chat templates as models have them, and as they should not, on the real engine. Those of ten families are in short: what
 * makes each special, in our own words.
 */
import type { Page } from '@playwright/test';
import { ALTERNATE, CHATML, FAMILIES, MUST_ALTERNATE, OWN_FORMATS } from './support/chat-templates.ts';
import { type Answer, expect, fetchIn, putTinyModels, serveIn, test, user } from './support/fixtures.ts';
import type { TinyCatalogOptions } from './tiny-model/write-tiny-models.ts';

const TOOLS = [
  { type: 'function', function: { name: 'now' } },
  {
    type: 'function',
    function: {
      name: 'get_weather',
      parameters: {
        type: 'object',
        properties: { city: { enum: ['Paris', 'Rome'] } },
        required: ['city'],
        additionalProperties: false,
      },
    },
  },
];
const NAMED = { type: 'function', function: { name: 'get_weather' } };

function expectCall({ status, json }: Answer, names: string[], what: string): void {
  expect([status, json.choices?.[0].finish_reason], `${what}: ${JSON.stringify(json).slice(0, 400)}`).toEqual([
    200,
    'tool_calls',
  ]);
  const [call] = json.choices[0].message.tool_calls;
  expect(names, what).toContain(call.function.name);
  const given = JSON.parse(call.function.arguments);
  if (call.function.name === 'get_weather') expect(['Paris', 'Rome'], what).toContain(given.city);
}

async function serveTemplates(
  page: Page,
  site: Parameters<typeof putTinyModels>[0],
  models: Record<string, TinyCatalogOptions>,
): Promise<void> {
  putTinyModels(site, models);
  await serveIn(page, site);
}

for (const [name, { template, plain, twoTurns }] of Object.entries(FAMILIES)) {
  test(`a template like ${name}’s`, async ({ page, site }) => {
    await serveTemplates(page, site, { it: { template, endBias: 0 } });
    const ask = (body: object) => fetchIn(page, '/v1/chat/completions', { seed: 1, max_tokens: 2, ...body });
    const expectOr = ({ status, json }: Answer, refusal: string | undefined) =>
      expect([status, json.error?.message]).toEqual(
        refusal === undefined ? [200, undefined] : [400, expect.stringContaining(refusal)],
      );

    expect((await fetchIn(page, '/apply-template', { messages: user('x') })).json).toEqual({ prompt: plain });
    expectOr(await ask({ messages: user('x') }), undefined);
    // llama.cpp puts it into the user's first turn where the template takes none.
    expectOr(await ask({ messages: [{ role: 'system', content: 's' }, ...user('x')] }), undefined);
    expectOr(await ask({ messages: [...user('x'), ...user('y')] }), twoTurns);
    expectOr(await ask({ messages: user('x'), tools: TOOLS }), undefined);
    const options = { max_tokens: 400, chat_template_kwargs: { enable_thinking: false } };
    const required = await ask({ messages: user('x'), tools: TOOLS, tool_choice: 'required', ...options });
    expectCall(required, ['now', 'get_weather'], 'required');
    const named = await ask({ messages: user('x'), tools: TOOLS, tool_choice: NAMED, ...options });
    expectCall(named, ['get_weather'], 'by name');
  });
}

test('a call is required, whatever the template says of tools', async ({ page, site }) => {
  await serveTemplates(page, site, {
    comment: { template: `{# tools are not known here #}${CHATML}` },
    raises: { template: `{% if tools %}{{ raise_exception('no tools here') }}{% endif %}${CHATML}` },
    agent: { agent: true, endBias: 0 },
  });
  for (const model of ['comment', 'raises', 'agent']) {
    for (const [tool_choice, names] of [
      ['required', ['now', 'get_weather']],
      [NAMED, ['get_weather']],
    ] as const) {
      const request = { model, messages: user('x'), tools: TOOLS, tool_choice, seed: 1, max_tokens: 600 };
      const answer = await fetchIn(page, '/v1/chat/completions', request);
      expectCall(answer, [...names], `${model}, ${JSON.stringify(tool_choice)}`);
    }
  }
  const { status, json } = await fetchIn(page, '/v1/chat/completions', {
    model: 'raises',
    messages: user('x'),
    tools: TOOLS,
  });
  expect([status, json.error.message]).toEqual([400, expect.stringContaining('no tools here')]);
});

const CITY = TOOLS[1]?.function.parameters ?? {};
const HELD = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: CITY } };

for (const name of ['functionary-v3.2', 'gigachat-3', 'kimi-k2'] as const) {
  test(`a template like ${name}’s, for which llama.cpp keeps no schema`, async ({ page, site }) => {
    await serveTemplates(page, site, { it: { template: OWN_FORMATS[name], endBias: 0 } });
    const ask = (body: object) =>
      fetchIn(page, '/v1/chat/completions', { messages: user('x'), seed: 1, max_tokens: 400, ...body });

    expect((await fetchIn(page, '/apply-template', { messages: user('x') })).json.prompt).toContain('x');
    const { json: held } = await ask({ response_format: HELD });
    expect(['Paris', 'Rome']).toContain(JSON.parse(held.choices[0].message.content).city);
    const { json: object } = await ask({ response_format: { type: 'json_object' } });
    expect(JSON.parse(object.choices[0].message.content)).toEqual(expect.any(Object));
    expectCall(await ask({ tools: TOOLS, tool_choice: 'required' }), ['now', 'get_weather'], 'required');
    expectCall(await ask({ tools: TOOLS, tool_choice: NAMED }), ['get_weather'], 'by name');

    const { text } = await ask({ response_format: HELD, stream: true });
    const deltas = [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data ?? '').choices[0]?.delta);
    expect(deltas.map((delta) => delta?.content ?? '').join('')).toBe(held.choices[0].message.content);
  });
}

test('a template like kimi-k3’s, with which no schema can be kept', async ({ page, site }) => {
  await serveTemplates(page, site, { it: { template: OWN_FORMATS['kimi-k3'] } });
  for (const [field, body] of [
    ['response_format', { response_format: HELD }],
    ['json_schema', { json_schema: CITY }],
    ['tool_choice', { tools: TOOLS, tool_choice: 'required' }],
  ] as const) {
    const { status, json } = await fetchIn(page, '/v1/chat/completions', { messages: user('x'), ...body });
    expect([status, json.error.param, json.error.message]).toEqual([400, field, expect.stringContaining(field)]);
  }
  expect((await fetchIn(page, '/v1/chat/completions', { messages: user('x'), max_tokens: 2 })).status).toBe(200);
});

/** Every route that renders. */
const ROUTES: [path: string, body: object][] = [
  ['/v1/chat/completions', { messages: [...user('x'), ...user('y')] }],
  ['/v1/chat/completions', { messages: [...user('x'), ...user('y')], stream: true }],
  ['/v1/chat/completions/input_tokens', { messages: [...user('x'), ...user('y')] }],
  ['/apply-template', { messages: [...user('x'), ...user('y')] }],
  ['/v1/responses', { input: [...user('x'), ...user('y')] }],
  ['/v1/responses/input_tokens', { input: [...user('x'), ...user('y')] }],
  ['/v1/messages', { messages: [...user('x'), ...user('y')], max_tokens: 2 }],
  ['/v1/messages/count_tokens', { messages: [...user('x'), ...user('y')] }],
];

test('what a template raises is told, on every route', async ({ page, site }) => {
  const template = `{% for message in messages %}${MUST_ALTERNATE}{{ message.content }}{% endfor %}`;
  await serveTemplates(page, site, { it: { template } });
  for (const [path, body] of ROUTES) {
    const { status, text } = await fetchIn(page, path, body);
    expect([status, text], path).toEqual([400, expect.stringContaining(`Error: Jinja Exception: ${ALTERNATE}`)]);
  }
});

test('what a template raises is told in a heap of more than 1.16 GB, too', async ({ page, site }) => {
  // wllama reads the length of an answer at the address 1,163,217,991 when llama.cpp threw: here it can.
  const contextSize = 800_000;
  const template = `{% for message in messages %}${MUST_ALTERNATE}{{ message.content }}{% endfor %}`;
  putTinyModels(site, { it: { template, contextLength: contextSize } });
  await serveIn(page, site, { engine: { contextSize, kvCacheType: 'f16' } });
  const { status, text } = await fetchIn(page, '/v1/chat/completions', { messages: [...user('x'), ...user('y')] });
  expect([status, text]).toEqual([400, expect.stringContaining(ALTERNATE)]);
  const { json } = await fetchIn(page, '/props');
  expect(json.default_generation_settings.n_ctx).toBe(contextSize);
});

test('a template that renders nothing', async ({ page, site }) => {
  await serveTemplates(page, site, { nothing: { template: '{% if false %}x{% endif %}' } });
  for (const [path, body] of ROUTES) {
    const { status, json, text } = await fetchIn(page, path, body);
    expect(status, `${path}: ${text}`).toBe(200);
    if (json?.input_tokens !== undefined) expect(json.input_tokens).toBe(0);
    if (json?.prompt !== undefined) expect(json.prompt).toBe('');
  }
});

for (const [what, template, fault] of [
  ['of another language', '{{ .System }}', ''],
  ['that is not closed', '{% for m in messages %}{{ m.content }{% endfor %}', ''],
  ['with a filter that nobody knows', '{{ messages | shuffle }}', 'shuffle'],
  ['that raises on anything', `{{ raise_exception('${ALTERNATE}') }}`, ALTERNATE],
] as const) {
  test(`a template ${what} keeps no model from loading`, async ({ page, site }) => {
    await serveTemplates(page, site, { it: { template }, good: {} });
    const request = { prompt: 'x', max_tokens: 3, seed: 1 };
    const { json: good } = await fetchIn(page, '/v1/completions', { ...request, model: 'good' });
    const { status, json } = await fetchIn(page, '/v1/completions', request);
    expect([status, json.choices]).toEqual([200, good.choices]);

    const { json: props } = await fetchIn(page, '/props');
    expect(props.chat_template_error).toMatch(/\w/);
    expect(props.chat_template_error).toContain(fault);
    const chat = { messages: user('x'), max_tokens: 2, verbose: true };
    const { json: answer } = await fetchIn(page, '/v1/chat/completions', chat);
    expect(answer.__verbose?.prompt).toBe('<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n');
    expect(props.chat_template).toContain('<|im_start|>');
  });
}
