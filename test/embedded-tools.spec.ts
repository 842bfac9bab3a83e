/** The model that ships calls tools, though its template knows none: what is required of it is had by a schema. */
import { expect, fetchIn, serveIn, test, user } from './support/fixtures.ts';

test.use({ siteOptions: { models: 'embedded' } });
test.slow();

const tool = (name: string, description: string, properties: Record<string, object>) => ({
  type: 'function',
  function: {
    name,
    description,
    parameters: { type: 'object', properties, required: Object.keys(properties), additionalProperties: false },
  },
});
const WEATHER = tool('get_weather', 'Weather of a city', { city: { type: 'string' } });
const ADD = tool('add', 'Adds two numbers', { a: { type: 'number' }, b: { type: 'number' } });
const SETTINGS = { tools: [WEATHER, ADD], temperature: 0, seed: 42, max_tokens: 100 };

test('SmolLM2 calls the tool that is meant, with the arguments that are meant', async ({ page, site }) => {
  await serveIn(page, site);
  for (const [question, name, given] of [
    ['Weather in Paris?', 'get_weather', { city: 'Paris' }],
    ['What is 3 plus 4?', 'add', { a: 3, b: 4 }],
  ] as const) {
    const request = { ...SETTINGS, messages: user(question), tool_choice: 'required' };
    const { json } = await fetchIn(page, '/v1/chat/completions', request);
    expect(json.choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: '' } });
    const [call] = json.choices[0].message.tool_calls;
    expect([call.function.name, JSON.parse(call.function.arguments)]).toEqual([name, given]);
  }
  const named = { type: 'function', function: { name: 'add' } };
  const request = { ...SETTINGS, messages: user('Weather in Paris?'), tool_choice: named };
  const { json } = await fetchIn(page, '/v1/chat/completions', request);
  const { name, arguments: given } = json.choices[0].message.tool_calls[0].function;
  expect(name).toBe('add');
  expect(JSON.parse(given)).toEqual({ a: expect.any(Number), b: expect.any(Number) });

  // As recorded of a native llama-server: without a word of the tools.
  const { json: free } = await fetchIn(page, '/v1/chat/completions', {
    ...SETTINGS,
    messages: user('Weather in Paris?'),
  });
  expect(free.usage.prompt_tokens).toBe(34);
  expect(free.choices[0].message).not.toHaveProperty('tool_calls');
});
