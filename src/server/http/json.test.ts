import { describe, expect, test } from 'vitest';
import { MAX_BODY_BYTES, MAX_JSON_DEPTH } from './json.ts';
import { describeSyntaxError } from './json-syntax.ts';
import { Scope } from './scope.ts';

const read = (body: BodyInit) => new Scope(new Request('https://site/', { method: 'POST', body })).body();
const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

describe('a body', () => {
  test('takes anything but an object for one without fields', async () => {
    for (const body of ['[]', '"x"', '5', 'null', 'true']) expect(await read(body)).toEqual({});
  });

  test('makes strings and keys well-formed: nlohmann::json throws on lone surrogates', async () => {
    expect(await read('{"a":"\\ud800x\\udc00","\\udfff":["\\ud83d\\ude00"]}')).toEqual({
      a: '\ufffdx\ufffd',
      '\ufffd': ['😀'],
    });
  });

  test('keeps a __proto__ key a key', async () => {
    const body = await read('{"__proto__":{"messages":[]}}');
    expect(body.messages).toBeUndefined();
    expect(Object.keys(body)).toEqual(['__proto__']);
  });

  test('refuses numbers beyond a double, depth and size, each naming its limit', async () => {
    await expect(read('{"seed":1e999}')).rejects.toMatchObject({ type: 'server_error' });
    expect(await read(nested(MAX_JSON_DEPTH))).toBeDefined();
    await expect(read(nested(MAX_JSON_DEPTH + 1))).rejects.toThrow('100 levels');
    await expect(read(`{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`)).rejects.toThrow('100 levels');
    await expect(read(new Uint8Array(MAX_BODY_BYTES + 1))).rejects.toThrow(`the limit is ${MAX_BODY_BYTES}`);
  });
});

describe('describeSyntaxError', () => {
  const at = (position: string, reason: string) => `parse error at ${position}: syntax error while parsing ${reason}`;
  test.each([
    ['{bad', at('line 1, column 2', "object key - invalid literal; last read: '{b'; expected string literal")],
    ['[1,2', at('line 1, column 5', "array - unexpected end of input; expected ']'")],
    ['{"a":1', at('line 1, column 7', "object - unexpected end of input; expected '}'")],
    ['{"a" 1}', at('line 1, column 6', "object separator - unexpected number literal; expected ':'")],
    ['{"a":1,}', at('line 1, column 8', "object key - unexpected '}'; expected string literal")],
    ['{1:2}', at('line 1, column 2', 'object key - unexpected number literal; expected string literal')],
    ['[1,]', at('line 1, column 4', "value - unexpected ']'; expected '[', '{', or a literal")],
    ['{"a":\n nul }', at('line 2, column 5', 'value - invalid literal; last read: \'"a":\n nul \'')],
    ['{"a":tru', at('line 1, column 9', 'value - invalid literal; last read: \'"a":tru\'')],
    ['"abc', at('line 1, column 5', "value - invalid string: missing closing quote; last read: '\"abc'")],
    [
      '"a\\x"',
      at('line 1, column 4', "value - invalid string: forbidden character after backslash; last read: '\"a\\x'"),
    ],
    [
      '"\\u12"',
      at('line 1, column 3', "value - invalid string: '\\u' must be followed by 4 hex digits; last read: '\"\\u'"),
    ],
    ['-x', at('line 1, column 2', "value - invalid number; expected digit after '-'; last read: '-x'")],
    ['1.x', at('line 1, column 3', "value - invalid number; expected digit after '.'; last read: '1.x'")],
    [
      '1e',
      at('line 1, column 3', "value - invalid number; expected '+', '-', or digit after exponent; last read: '1e'"),
    ],
    ['1e+', at('line 1, column 4', "value - invalid number; expected digit after exponent sign; last read: '1e+'")],
    ['{} {}', at('line 1, column 4', "value - unexpected '{'; expected end of input")],
    ['01', at('line 1, column 2', 'value - unexpected number literal; expected end of input')],
  ])('%s', (text, message) => {
    expect(describeSyntaxError(text)).toBe(message);
  });

  test.each(['', '  \n'])('%j is empty', (text) => {
    expect(describeSyntaxError(text)).toMatch(/column 1: attempting to parse an empty input; check/);
  });

  test('needs no stack for depth', () => {
    expect(describeSyntaxError('['.repeat(1e6))).toContain('column 1000001');
  });
});
