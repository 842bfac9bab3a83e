import { describe, expect, test } from 'vitest';
import { type ToolCallDelta, ToolCallReader } from './tool-call-reader.ts';

/** What all deltas together say: `[id, name, arguments]` of each call. */
function merged(deltas: ToolCallDelta[]): (string | undefined)[][] {
  const calls: (string | undefined)[][] = [];
  for (const { index, id, function: called } of deltas) {
    const call = calls[index];
    if (call === undefined) calls[index] = [id, called.name, called.arguments];
    else call[2] = `${call[2]}${called.arguments}`;
  }
  return calls;
}

const cases: [text: string, calls: [name: string, given: string][]][] = [
  ['{"name": "f", "arguments": {}}', [['f', '{}']]],
  ['{"name":"f","arguments":{"a":[1,{"b":2}]}}', [['f', '{"a":[1,{"b":2}]}']]],
  [' {\n  "name" : "f" ,\n  "arguments" : {\n  "a": 1\n}\n}', [['f', '{\n  "a": 1\n}']]],
  ['{"name": "f", "arguments": {"a": "}{][\\"\\\\"}}', [['f', '{"a": "}{][\\"\\\\"}']]],
  ['{"name": "a \\"quoted\\" name", "arguments": {}}', [['a "quoted" name', '{}']]],
  [
    '[{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {"b": "é"}}]',
    [
      ['f', '{"a": 1}'],
      ['g', '{"b": "é"}'],
    ],
  ],
  ['{"name": "f", "arguments": 12}', [['f', '12']]],
];

describe('calls', () => {
  test.each(cases)('%s, cut anywhere', (text, calls) => {
    for (let size = 1; size <= text.length; size++) {
      let drawn = 0;
      const reader = new ToolCallReader(() => `id${drawn++}`);
      const deltas: ToolCallDelta[] = [];
      for (let at = 0; at < text.length; at += size) deltas.push(...reader.read(text.slice(at, at + size)));
      expect(merged(deltas)).toEqual(calls.map(([name, given], index) => [`id${index}`, name, given]));
      expect(reader.complete).toBe(true);
    }
  });

  test('one that is cut off is not complete', () => {
    const reader = new ToolCallReader(() => 'id');
    expect(reader.complete).toBe(false);
    expect(reader.read('{"name": "f"')).toEqual([]);
    expect(merged(reader.read(', "arguments": {"a": "b'))).toEqual([['id', 'f', '{"a": "b']]);
    expect(reader.complete).toBe(false);
  });
});
