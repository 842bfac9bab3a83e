/** Two popular clients, unmodified, in a page: OpenAI's own, and the AI SDK with its provider for compatible servers. */
import type { Page } from '@playwright/test';
import { expect, fetchIn, putTinyModels, serveIn, test } from './support/fixtures.ts';

declare global {
  /** `test/bundles/clients.ts`, and one of each client on the page's server. */
  var clients: typeof import('./bundles/clients.ts');
  var sdk: typeof import('./bundles/clients.ts')['openaiClients'][6];
  var openai: InstanceType<typeof sdk.OpenAI>;
  var provider: ReturnType<typeof import('./bundles/clients.ts')['createOpenAICompatible']>;
}

test.beforeEach(async ({ page, site }) => {
  putTinyModels(site, { tiny: {}, embedder: { pooling: 'mean' } });
  await serveIn(page, site);
  await page.evaluate(async (bundle) => {
    globalThis.clients = await import(bundle);
    const { baseURL } = server;
    globalThis.provider = clients.createOpenAICompatible({
      name: 'llamatab',
      baseURL,
      includeUsage: true,
      supportsStructuredOutputs: true,
    });
  }, '/bundles/clients.js');
});

async function expectNoSlotTaken(page: Page): Promise<void> {
  await expect
    .poll(async () => (await fetchIn(page, '/props')).json.engine.requests)
    .toEqual({ processing: 0, deferred: 0 });
}

const FORECAST = { city: expect.stringMatching(/^(Paris|Rome)$/), days: expect.any(Number) };

for (const version of [6, 7] as const) test.describe(`openai ${version}`, () => openaiTests(version));

function openaiTests(version: 6 | 7): void {
  test.beforeEach(({ page }) =>
    page.evaluate((version) => {
      globalThis.sdk = clients.openaiClients[version];
      const { baseURL } = server;
      globalThis.openai = new sdk.OpenAI({ baseURL, apiKey: 'local', dangerouslyAllowBrowser: true, maxRetries: 0 });
    }, version),
  );

  test('chat: whole, streamed, by its helper', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const question = {
        model: 'tiny',
        messages: [{ role: 'user' as const, content: 'hello' }],
        max_tokens: 12,
        seed: 1,
      };
      const whole = await openai.chat.completions.create(question);
      let streamed = '';
      let usage: unknown;
      const stream_options = { include_usage: true };
      for await (const chunk of await openai.chat.completions.create({ ...question, stream: true, stream_options })) {
        streamed += chunk.choices[0]?.delta.content ?? '';
        usage = chunk.usage ?? usage;
      }
      const helped = await openai.chat.completions.stream(question).finalChatCompletion();
      return {
        whole: whole.choices[0]?.message.content,
        streamed,
        helped: helped.choices[0]?.message.content,
        usage: [whole.usage?.total_tokens, (usage as typeof whole.usage)?.total_tokens],
      };
    });
    expect(told.whole).toHaveLength(12);
    expect([told.streamed, told.helped]).toEqual([told.whole, told.whole]);
    expect(told.usage[0]).toBe(told.usage[1]);
  });

  test('tools: a call, its result, the answer; streamed; by runTools; several answers', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const parameters = {
        type: 'object',
        properties: { city: { enum: ['Paris', 'Rome'] }, days: { type: 'integer', minimum: 1, maximum: 7 } },
        required: ['city', 'days'],
        additionalProperties: false,
      };
      const weather = { type: 'function' as const, function: { name: 'weather', parameters } };
      const now = { type: 'function' as const, function: { name: 'now' } };
      const named = { type: 'function' as const, function: { name: 'weather' } };
      const messages = [{ role: 'user' as const, content: 'Weather?' }];
      const question = { model: 'tiny', messages, tools: [now, weather], tool_choice: named, max_tokens: 200, seed: 1 };

      const asked = await openai.chat.completions.create(question);
      const [choice] = asked.choices;
      if (choice === undefined) throw new Error('no choice');
      const [call] = choice.message.tool_calls ?? [];
      if (call?.type !== 'function') throw new Error(`no call: ${JSON.stringify(asked)}`);
      const answered = await openai.chat.completions.create({
        model: 'tiny',
        messages: [...messages, choice.message, { role: 'tool', tool_call_id: call.id, content: 'Sunny' }],
        tools: [weather],
        tool_choice: 'auto',
        max_tokens: 8,
      });

      const streamed = await openai.chat.completions.stream(question).finalChatCompletion();
      const several = await openai.chat.completions.create({ ...question, tool_choice: 'required', n: 3 });
      const severalStreamed = await openai.chat.completions
        .stream({ ...question, tool_choice: 'required', n: 3 })
        .finalChatCompletion();

      const given: unknown[] = [];
      const run = openai.chat.completions.runTools(
        {
          model: 'tiny',
          messages,
          max_tokens: 200,
          tool_choice: named,
          tools: [
            {
              type: 'function',
              function: {
                name: 'weather',
                description: 'Weather of a city',
                parameters,
                parse: JSON.parse,
                function: (args: object) => {
                  given.push(args);
                  return 'Sunny';
                },
              },
            },
          ],
        },
        { maxChatCompletions: 2 },
      );
      await run.done();
      const callsOf = ({ choices }: typeof asked) =>
        choices.map(({ index, finish_reason, message }) => ({
          index,
          finish_reason,
          calls: (message.tool_calls ?? []).map((call) => call.type === 'function' && call.function),
        }));
      return {
        asked: callsOf(asked),
        streamed: callsOf(streamed),
        several: callsOf(several),
        severalStreamed: callsOf(severalStreamed),
        ids: [...several.choices, ...severalStreamed.choices].map(({ message }) => message.tool_calls?.[0]?.id),
        answer: answered.choices[0]?.message.content,
        given,
      };
    });
    expect(told.asked).toMatchObject([{ index: 0, finish_reason: 'tool_calls', calls: [{ name: 'weather' }] }]);
    const [call] = told.asked[0]?.calls ?? [];
    expect(JSON.parse((call || { arguments: '' }).arguments)).toEqual(FORECAST);
    expect(told.streamed).toEqual(told.asked);
    expect(told.several.map(({ index, calls }) => [index, calls.length])).toEqual([0, 1, 2].map((index) => [index, 1]));
    for (const { finish_reason, calls } of told.several) {
      expect(finish_reason).toBe('tool_calls');
      for (const call of calls) {
        expect(call && ['now', 'weather'].includes(call.name)).toBe(true);
        const args = JSON.parse(call ? call.arguments : '');
        expect(args).toEqual(call && call.name === 'now' ? {} : FORECAST);
      }
    }
    expect(told.severalStreamed).toEqual(told.several);
    expect(new Set(told.ids).size).toBe(6);
    expect(told.answer).toHaveLength(8);
    expect(told.given[0]).toEqual(FORECAST);
  });

  test('structured output: by schema, by zod, by the responses API', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const { z } = clients;
      const { zodResponseFormat, zodTextFormat } = sdk;
      const Forecast = z.object({ city: z.enum(['Paris', 'Rome']), days: z.number().int().min(1).max(7) });
      const question = { model: 'tiny', messages: [{ role: 'user' as const, content: 'Weather?' }], max_tokens: 200 };
      const plain = await openai.chat.completions.create({
        ...question,
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'forecast', strict: true, schema: z.toJSONSchema(Forecast) },
        },
      });
      const format = zodResponseFormat(Forecast, 'forecast');
      const parsed = await openai.chat.completions.parse({ ...question, response_format: format });
      const response = await openai.responses.parse({
        model: 'tiny',
        input: 'Weather?',
        max_output_tokens: 200,
        text: { format: zodTextFormat(Forecast, 'forecast') },
      });
      return [
        JSON.parse(plain.choices[0]?.message.content ?? ''),
        parsed.choices[0]?.message.parsed,
        response.output_parsed,
      ];
    });
    for (const value of told) expect(value).toEqual(FORECAST);
  });

  test('the responses API: whole, and event by event', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const question = { model: 'tiny', input: 'hello', max_output_tokens: 12, temperature: 0 };
      const whole = await openai.responses.create(question);
      const types: string[] = [];
      let streamed = '';
      let last: typeof whole | undefined;
      for await (const event of await openai.responses.create({ ...question, stream: true })) {
        types.push(event.type);
        if (event.type === 'response.output_text.delta') streamed += event.delta;
        if (event.type === 'response.completed' || event.type === 'response.incomplete') last = event.response;
      }
      const helped = await openai.responses.stream(question).finalResponse();
      return {
        whole: whole.output_text,
        streamed,
        last: last?.usage,
        usage: whole.usage,
        helped: helped.output_text,
        types,
      };
    });
    expect(told.whole).toHaveLength(12);
    expect([told.streamed, told.helped]).toEqual([told.whole, told.whole]);
    expect(told.last?.total_tokens).toBe(told.usage?.total_tokens);
    expect(told.types[0]).toBe('response.created');
  });

  test('embeddings: base64, which it asks for by itself, and floats', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const question = { model: 'embedder', input: ['hello', 'world'] };
      const encoded = await openai.embeddings.create(question);
      const floats = await openai.embeddings.create({ ...question, encoding_format: 'float' });
      return [encoded, floats].map(({ data }) => data.map(({ embedding }) => embedding));
    });
    expect(told[0]?.map((embedding) => embedding.length)).toEqual([64, 64]);
    const [encoded, floats] = told.map((embeddings) => embeddings.flat());
    for (const [index, value] of (encoded ?? []).entries()) expect(value).toBeCloseTo(floats?.[index] ?? NaN, 6);
  });

  test('models, errors by their class, abort', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const { OpenAI } = sdk;
      const messages = [{ role: 'user' as const, content: 'hello' }];
      const names: string[] = [];
      for await (const { id } of openai.models.list()) names.push(id);
      const failed = async (request: Promise<unknown>) => {
        const error = await request.then(
          () => undefined,
          (error: unknown) => error,
        );
        if (!(error instanceof OpenAI.APIError)) return { class: String(error) };
        return {
          class:
            error instanceof OpenAI.BadRequestError
              ? 'bad request'
              : error instanceof OpenAI.NotFoundError
                ? 'not found'
                : 'other',
          status: error.status,
          type: error.type,
          param: error.param,
          message: error.message,
        };
      };
      const create = (more: object) => openai.chat.completions.create({ model: 'tiny', messages, ...more });
      const stream = await openai.chat.completions.create({ model: 'tiny', messages, stream: true });
      let chunks = 0;
      for await (const _ of stream) if (++chunks === 5) break;
      const abort = new AbortController();
      const aborted = failed(openai.chat.completions.create({ model: 'tiny', messages }, { signal: abort.signal }));
      abort.abort();
      return {
        names,
        one: (await openai.models.retrieve('embedder')).id,
        bad: await failed(create({ tool_choice: 'required', tools: 'f' })),
        choice: await failed(create({ tool_choice: 'mine' })),
        badStream: await failed(create({ tool_choice: 'mine', stream: true })),
        unknown: await failed(create({ model: 'gpt-9' })),
        unknownModel: await failed(openai.models.retrieve('gpt-9')),
        aborted: await aborted,
        chunks,
      };
    });
    expect(told).toMatchObject({
      names: ['tiny', 'embedder'],
      one: 'embedder',
      bad: { status: 500, message: expect.stringContaining('Failed to parse tools'), param: 'tools' },
      choice: {
        class: 'bad request',
        param: 'tool_choice',
        message: expect.stringContaining('Invalid tool_choice: mine'),
      },
      badStream: { class: 'bad request', param: 'tool_choice' },
      unknown: { class: 'not found', type: 'model_not_found', param: 'model' },
      unknownModel: { class: 'not found', type: 'model_not_found' },
      chunks: 5,
    });
    expect(told.aborted.message ?? told.aborted.class).toContain('abort');
    await expectNoSlotTaken(page);
  });
}

test.describe('the AI SDK', () => {
  test('text: whole and streamed', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const { generateText, streamText } = clients.ai;
      const question = { model: provider('tiny'), prompt: 'hello', maxOutputTokens: 12, seed: 1 };
      const whole = await generateText(question);
      const stream = streamText(question);
      let streamed = '';
      for await (const text of stream.textStream) streamed += text;
      return {
        whole: whole.text,
        streamed,
        usage: [whole.usage.totalTokens, (await stream.usage).totalTokens],
        reasons: [whole.finishReason, await stream.finishReason],
      };
    });
    expect(told.whole).toHaveLength(12);
    expect(told.streamed).toBe(told.whole);
    expect(told.usage[0]).toBe(told.usage[1]);
    expect(told.reasons).toEqual(['length', 'length']);
  });

  test('tools: called, answered and gone on with; streamed', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const { generateText, streamText, stepCountIs, tool } = clients.ai;
      const { z } = clients;
      const given: unknown[] = [];
      const weather = tool({
        description: 'Weather of a city',
        inputSchema: z.object({ city: z.enum(['Paris', 'Rome']), days: z.number().int().min(1).max(7) }),
        execute: async (input) => {
          given.push(input);
          return { sky: 'clear' };
        },
      });
      const question = { model: provider('tiny'), prompt: 'Weather?', tools: { weather }, maxOutputTokens: 200 };
      const whole = await generateText({
        ...question,
        stopWhen: stepCountIs(2),
        // First a call, then an answer out of its result.
        prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? 'required' : 'none' }),
      });
      const stream = streamText({ ...question, toolChoice: { type: 'tool', toolName: 'weather' } });
      const parts: string[] = [];
      for await (const { type } of stream.fullStream) parts.push(type);
      return {
        given,
        steps: whole.steps.map(({ finishReason }) => finishReason),
        text: whole.text,
        streamed: (await stream.toolCalls).map(({ toolName, input }) => ({ toolName, input })),
        parts,
      };
    });
    expect(told.given).toEqual([FORECAST, FORECAST]);
    expect(told.steps).toEqual(['tool-calls', 'length']);
    expect(told.text).toHaveLength(200);
    expect(told.streamed).toEqual([{ toolName: 'weather', input: FORECAST }]);
    expect(told.parts).toEqual(
      expect.arrayContaining(['tool-input-start', 'tool-input-delta', 'tool-call', 'tool-result']),
    );
    expect(told.parts).not.toContain('error');
  });

  test('structured output: whole and streamed', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const { generateObject, generateText, Output, streamText } = clients.ai;
      const { z } = clients;
      const schema = z.object({ city: z.enum(['Paris', 'Rome']), days: z.number().int().min(1).max(7) });
      const question = { model: provider('tiny'), prompt: 'Weather?', maxOutputTokens: 200 };
      const output = Output.object({ schema });
      const streamed = streamText({ ...question, output });
      let partials = 0;
      for await (const _ of streamed.partialOutputStream) partials++;
      return {
        objects: [
          (await generateObject({ ...question, schema })).object,
          (await generateText({ ...question, output })).output,
          await streamed.output,
        ],
        partials,
      };
    });
    for (const object of told.objects) expect(object).toEqual(FORECAST);
    expect(told.partials).toBeGreaterThan(1);
  });

  test('embeddings, errors, abort', async ({ page }) => {
    const told = await page.evaluate(async () => {
      const { APICallError, embed, embedMany, generateText, streamText } = clients.ai;
      const model = provider.embeddingModel('embedder');
      const { embedding } = await embed({ model, value: 'hello' });
      const { embeddings } = await embedMany({ model, values: ['hello', 'world'] });
      const failed = (more: object) =>
        generateText({ model: provider('tiny'), prompt: 'hello', maxRetries: 0, ...more }).then(
          () => undefined,
          (error: unknown) =>
            APICallError.isInstance(error) ? { status: error.statusCode, message: error.message } : String(error),
        );
      const abort = new AbortController();
      const stream = streamText({ model: provider('tiny'), prompt: 'hello', abortSignal: abort.signal });
      const parts: string[] = [];
      for await (const { type } of stream.fullStream) {
        parts.push(type);
        if (parts.length === 6) abort.abort();
      }
      return {
        same: JSON.stringify(embedding) === JSON.stringify(embeddings[0]),
        dimensions: embeddings.map(({ length }) => length),
        unknown: await failed({ model: provider('gpt-9') }),
        tooLong: await failed({ prompt: 'long '.repeat(1000) }),
        last: parts.at(-1),
      };
    });
    expect(told).toMatchObject({
      same: true,
      dimensions: [64, 64],
      unknown: { status: 404, message: expect.stringContaining("'gpt-9' does not exist") },
      tooLong: { status: 400, message: expect.stringContaining('exceeds the available context size') },
      last: 'abort',
    });
    await expectNoSlotTaken(page);
  });
});
