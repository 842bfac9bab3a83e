import { describe, expect, it } from 'vitest';
import { encodeU32, Reader, readSections, WasmFormatError, whyNotMovable, writeSections } from './wasm-binary.ts';

const NUMBERS = [0, 1, 63, 64, 127, 128, 129, 8191, 8192, 16383, 16384, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 31 - 1];

describe('LEB128', () => {
  it('reads the unsigned numbers that it writes', () => {
    for (const value of [...NUMBERS, 2 ** 31, 2 ** 32 - 1]) {
      const bytes = encodeU32(value);
      const reader = new Reader(bytes);
      expect(reader.u32()).toBe(value);
      expect(reader.done).toBe(true);
      expect(bytes.length).toBe(Math.max(1, Math.ceil(value.toString(2).length / 7)));
    }
  });

  it.each([
    [0n, [0x00]],
    [63n, [0x3f]],
    [-1n, [0x7f]],
    [-64n, [0x40]],
    [64n, [0xc0, 0x00]],
    [-65n, [0xbf, 0x7f]],
    [2n ** 31n - 1n, [0xff, 0xff, 0xff, 0xff, 0x07]],
    [-(2n ** 31n), [0x80, 0x80, 0x80, 0x80, 0x78]],
  ])('reads the signed number %s', (value, bytes) => {
    const reader = new Reader(Uint8Array.from(bytes));
    expect(reader.signed(32)).toBe(value);
    expect(reader.done).toBe(true);
  });

  it('reads numbers with padding, and 64 bits', () => {
    expect(new Reader(Uint8Array.of(0x80, 0x80, 0x00)).u32()).toBe(0);
    expect(new Reader(Uint8Array.of(0xff, 0x7f)).signed(32)).toBe(-1n);
    expect(new Reader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)).u64()).toBe(
      2n ** 64n - 1n,
    );
  });

  it.each([
    ['an end in the middle', [0x80, 0x80]],
    ['more bytes than 32 bits need', [0x80, 0x80, 0x80, 0x80, 0x80, 0x00]],
    ['more than 32 bits', [0xff, 0xff, 0xff, 0xff, 0x1f]],
  ])('refuses %s', (_, bytes) => {
    expect(() => new Reader(Uint8Array.from(bytes)).u32()).toThrow(WasmFormatError);
  });
});

describe('sections', () => {
  const module = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 1, 0, 0, 2, 1, 0x61);

  it('are written as they were read', () => {
    expect(writeSections(readSections(module))).toEqual(module);
  });

  it('are not read from anything else', () => {
    expect(() => readSections(Uint8Array.of(1, 2, 3))).toThrow('not a WebAssembly module');
    expect(() => readSections(module.subarray(0, 14))).toThrow(WasmFormatError);
  });
});

describe('a body can be moved', () => {
  const NO_LOCALS = 0;
  const END = 0x0b;
  const body = (...code: number[]) => Uint8Array.of(NO_LOCALS, ...code, END);

  it('when nothing in it refers to its module', () => {
    expect(whyNotMovable(body(0x02, 0x40, 0x41, 0, 0x28, 2, 0, 0x1a, END))).toBeUndefined();
    expect(whyNotMovable(body(0x41, 0, 0xfd, 0x00, 4, 0, 0xfd, 0x93, 0x02, 0x1a))).toBeUndefined();
  });

  it.each([
    ['a call', [0x10, 0], 'calls'],
    ['an indirect call', [0x41, 0, 0x11, 0, 0], 'calls'],
    ['a global', [0x23, 0, 0x1a], 'global'],
    ['the size of the memory', [0x3f, 0, 0x1a], 'size'],
    ['another memory', [0x41, 0, 0x28, 0x42, 1, 0, 0x1a], 'memory 1'],
    ['a copy', [0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x0a, 0, 0], 'bulk'],
    ['an atomic instruction', [0xfe, 0x03, 0], 'atomic'],
    ['a block with a numbered type', [0x02, 3, END], 'numbered type'],
  ])('but not with %s', (_, code, reason) => {
    expect(whyNotMovable(body(...code))).toContain(reason);
  });

  it('and an unknown instruction is refused', () => {
    expect(() => whyNotMovable(body(0xff))).toThrow('unknown instruction 0xff');
  });
});
