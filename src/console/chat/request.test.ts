import { expect, it } from 'vitest';
import { readSchema, readTools, toRequest } from './request.ts';
import { DEFAULT_SETTINGS } from './settings.ts';

const tool = { type: 'function', function: { name: 'f' } };

it('asks with the settings, and with no more than they say', () => {
  expect(toRequest(DEFAULT_SETTINGS, 'm', [])).toEqual({
    model: 'm',
    messages: [],
    temperature: 0.2,
    top_p: 0.95,
    top_k: 40,
    min_p: 0.05,
    repeat_penalty: 1,
    max_tokens: 1024,
  });
  const request = toRequest(
    { ...DEFAULT_SETTINGS, seed: 0, format: 'json', tools: JSON.stringify([tool]), toolChoice: 'required' },
    'm',
    [],
  );
  expect(request).toMatchObject({
    seed: 0,
    response_format: { type: 'json_object' },
    tools: [tool],
    tool_choice: 'required',
  });
});

it('sends a schema that can be read, and else asks for any JSON', () => {
  const formatOf = (schema: string) =>
    toRequest({ ...DEFAULT_SETTINGS, format: 'schema', schema }, 'm', []).response_format;
  expect(formatOf('{"type":"string"}')).toEqual({
    type: 'json_schema',
    json_schema: { name: 'answer', strict: true, schema: { type: 'string' } },
  });
  expect(formatOf('{"type"')).toEqual({ type: 'json_object' });
});

it('says what is wrong', () => {
  expect(readSchema('[]').problem).toContain('A schema is an object');
  expect(readSchema('{').problem).toContain('This is no JSON');
  expect(readTools(' ')).toEqual({ value: [] });
  expect(readTools(JSON.stringify(tool))).toEqual({ value: [tool] });
  expect(readTools('[{"type":"function","function":{"name":"f"}},{}]').problem).toContain('Tool 2 is not');
  expect(readTools('[null]').problem).toContain('Tool 1 is not');
});
