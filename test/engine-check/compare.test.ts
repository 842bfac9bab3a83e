import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { KNOWN_WLLAMA } from '../../src/kernels/build.ts';
import { compareGpuCalls, compareKernels, compareMessages, compareSources } from './compare.ts';
import { type Messages, readMessages, readPackage, type WllamaPackage } from './package.ts';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const installed = readPackage(path('../../node_modules'));
const kernels = (level: string, address: string) =>
  readFileSync(path(`../../src/kernels/wasm/${level}-${address}.wasm`));

/** The installed version with another 64-bit binary. */
const withBinary = (changes: Partial<WllamaPackage['binaries']['wasm64']>): WllamaPackage => ({
  ...installed,
  binaries: { ...installed.binaries, wasm64: { ...installed.binaries.wasm64, ...changes } },
});

describe('the installed wllama', () => {
  it('is the known one, and has all that is relied on', () => {
    expect(installed.version).toBe(KNOWN_WLLAMA.version);
    expect(installed.build).toMatch(/^b\d+-[0-9a-f]{7}$/);
    expect(compareSources(installed)).toEqual([]);
    expect(installed.gpuCalls).toContain('_wgpuDeviceCreateBindGroup');
  });

  it('fits itself', () => {
    expect(compareMessages(installed.messages, installed.messages)).toEqual([]);
    expect(compareGpuCalls(installed, installed)).toEqual([]);
    expect(compareKernels(installed, installed, kernels)).toEqual([]);
  });
});

describe('messages', () => {
  const known: Messages = {
    ...installed.messages,
    cmpl_req: { is_chat: 'bool', data_json: 'str' },
    gres_res: { has_more: 'bool' },
  };
  const findings = (changes: Messages) => compareMessages(known, { ...known, ...changes });

  it('are read from wllama’s table', () => {
    const source =
      'export const GLUE_MESSAGE_PROTOTYPES: { [name: string]: T } = {\n"a_res": {"fields": [{"type": "int", "name": "n", "isNullable": true}]}\n}\n';
    expect(readMessages(source)).toEqual({ a_res: { n: 'int?' } });
    expect(() => readMessages('')).toThrow('GLUE_MESSAGE_PROTOTYPES');
  });

  it('are broken where a field is gone, is of another type, or must be sent', () => {
    expect(findings({ cmpl_req: { is_chat: 'int', is_new: 'bool' } })).toEqual([
      { kind: 'broken', text: 'cmpl_req.is_chat (bool) is int now' },
      { kind: 'broken', text: 'cmpl_req.data_json (str) is gone' },
      { kind: 'broken', text: 'cmpl_req.is_new (bool) is new' },
    ]);
  });

  it('may say more, and take what can be left out', () => {
    expect(findings({ gres_res: { has_more: 'bool', raw: 'raw' } })).toEqual([
      { kind: 'changed', text: 'gres_res.raw (raw) is new' },
    ]);
    expect(findings({ cmpl_req: { is_chat: 'bool', data_json: 'str', n: 'int?' } })).toMatchObject([
      { kind: 'changed' },
    ]);
  });
});

describe('kernels', () => {
  const traits = installed.binaries.wasm64.traits ?? [];

  it('are to be measured again where wllama’s own function is other code', () => {
    const changed = traits.map((entry, type) => (type === 2 ? { ...entry, vecDot: '' } : entry));
    expect(compareKernels(installed, withBinary({ traits: changed }), kernels)).toEqual([
      {
        kind: 'changed',
        text: 'wasm64: the vecDot of type 2 is other code: measure whether ggml_vec_dot_q4_0_q8_0 is still faster',
      },
    ]);
  });

  it('do not fit where a type is multiplied with another, or the array is not found', () => {
    const changed = traits.map((entry, type) => (type === 1 ? { ...entry, vecDotType: 1 } : entry));
    expect(compareKernels(installed, withBinary({ traits: changed }), kernels)).toEqual([
      { kind: 'broken', text: 'wasm64: type 1 is multiplied with type 1, before with 0' },
    ]);
    expect(compareKernels(installed, withBinary({ traits: null }), kernels)).toMatchObject([{ kind: 'broken' }]);
  });

  it('do not fit a binary that the linker refuses', () => {
    const bytes = installed.binaries.wasm64.bytes.subarray(0, 1_000_000);
    const found = compareKernels(installed, withBinary({ bytes }), kernels);
    expect(found.map(({ kind }) => kind)).toEqual(['broken', 'broken']);
  });
});

it('tells of log lines that are no longer written', () => {
  expect(compareSources(withBinary({ text: '' })).map(({ kind }) => kind)).toEqual(['broken', 'broken']);
});
