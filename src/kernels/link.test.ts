import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { buildEngine, cacheKey, KNOWN_WLLAMA, withoutKernels } from './build.ts';
import { replaceInvalidUtf8 } from './json-utf8.ts';
import { KERNELS, link } from './link.ts';
import { readMemoryImage } from './memory-image.ts';
import { boundPromptCache, PROMPT_CACHE_MIB } from './prompt-cache.ts';
import { findTypeTraits, TYPE } from './type-traits.ts';
import { readModule, SECTION, WasmFormatError, writeSections } from './wasm-binary.ts';

const require = createRequire(import.meta.url);
/** Not a Buffer, whose slices share its bytes. */
const read = (path: string | URL) => new Uint8Array(readFileSync(path));
const BINARIES = {
  wasm64: read(require.resolve('@wllama/wllama/esm/wasm/wllama.wasm')),
  wasm32: read(require.resolve('@wllama/wllama-compat/wasm/wllama.wasm')),
};
const kernels = (level: string, address: string) => read(new URL(`./wasm/${level}-${address}.wasm`, import.meta.url));
const same = (a: Uint8Array, b: Uint8Array | undefined) => b !== undefined && Buffer.compare(a, b) === 0;
const VARIANTS = (['wasm64', 'wasm32'] as const).flatMap((address) =>
  (['simd128', 'relaxed'] as const).map((level) => [address, level] as const),
);

describe.each(VARIANTS)('wllama %s with kernels for %s', (address, level) => {
  const stock = readModule(BINARIES[address]);
  const bytes = buildEngine(BINARIES[address], level);
  const built = readModule(bytes);
  const source = readModule(kernels(level, address));
  const changed = built.bodies.flatMap((body, index) => (same(body, stock.bodies[index]) ? [] : [index]));
  const isKernel = (index: number) => source.bodies.some((kernel) => same(kernel, built.bodies[index]));

  it('has the kernels for bodies of as many functions, and every other function as it was', () => {
    expect(changed.length).toBe(KERNELS.length + 2);
    expect(changed.filter(isKernel).length).toBe(KERNELS.length);
  });

  it('has every other section as it was', () => {
    for (const [index, { id, body }] of stock.sections.entries()) {
      expect(built.sections[index]?.id).toBe(id);
      if (id !== SECTION.code) expect(same(body, built.sections[index]?.body)).toBe(true);
    }
    expect(built.sections.length).toBe(stock.sections.length);
  });

  /** The function that is no kernel and holds these bytes, as it was and as it is. */
  const changedWith = (hex: string) => {
    const [pair] = changed
      .filter((index) => !isKernel(index))
      .map((index) => [Buffer.from(stock.bodies[index] ?? []), Buffer.from(built.bodies[index] ?? [])] as const)
      .filter(([before]) => before.includes(Buffer.from(hex, 'hex')));
    const [before, after] = pair ?? [Buffer.of(), Buffer.of()];
    return { before, after, at: before.indexOf(Buffer.from(hex, 'hex')) };
  };

  it('bounds the prompt cache, and changes nothing else in that function', () => {
    const { before, after, at } = changedWith('fd0c20000000000000000020000000200000');
    expect(after.readUInt32LE(at + 14)).toBe(PROMPT_CACHE_MIB);
    after.writeUInt32LE(8192, at + 14);
    expect(after.equals(before)).toBe(true);
  });

  it('has invalid UTF-8 replaced in JSON, and changes nothing else in that function', () => {
    const { before, after, at } = changedWith('41003a00800420');
    expect([...after.subarray(at + 8, at + 10)]).toEqual([0x41, 1]);
    before.copy(after, at + 8, at + 8, at + 10);
    expect(after.equals(before)).toBe(true);
  });

  // Node 20 knows neither 64-bit tables nor the exceptions of the default build: a browser's test loads that one.
  it.runIf(address === 'wasm32')('is valid', () => {
    if (!WebAssembly.validate(kernels(level, address))) setFlagsFromString('--experimental-wasm-relaxed-simd');
    expect(WebAssembly.validate(bytes)).toBe(true);
  });
});

describe.each(['wasm64', 'wasm32'] as const)('the type traits in wllama %s', (address) => {
  const module = readModule(BINARIES[address]);
  const image = readMemoryImage(module);

  it('are found once, and name a function for each kernel', () => {
    const [traits, ...more] = findTypeTraits(image, module.memory64, 20_000);
    expect(more).toEqual([]);
    const slots = KERNELS.map(({ type, role }) => traits?.entry(type)[role] ?? 0);
    expect(slots.every((slot) => slot > 0)).toBe(true);
    expect(new Set(slots).size).toBe(KERNELS.length);
    expect(traits?.entry(TYPE.mxfp4)).toMatchObject({ vecDotType: TYPE.q8_0, nrows: 1 });
  });

  it('are not found when a type is multiplied with another, or when the table is too small', () => {
    const [traits] = findTypeTraits(image, module.memory64, 20_000);
    expect(findTypeTraits(image, module.memory64, 100)).toEqual([]);
    const changed = image.slice();
    const stride = address === 'wasm64' ? 32 : 24;
    changed[(traits?.address ?? 0) + stride * TYPE.q4_K + (address === 'wasm64' ? 16 : 8)] = 8;
    expect(findTypeTraits(changed, module.memory64, 20_000)).toEqual([]);
    expect(findTypeTraits(changed, module.memory64, 20_000, 1).map(({ address }) => address)).toEqual([
      traits?.address,
    ]);
  });
});

describe('link refuses', () => {
  const good = kernels('simd128', 'wasm32');
  const stock = BINARIES.wasm32;
  const replace = (bytes: Uint8Array, id: number, edit: (body: Uint8Array) => Uint8Array) =>
    writeSections(
      readModule(bytes).sections.map((s) => ({ id: s.id, body: s.id === id ? edit(s.body.slice()) : s.body })),
    );

  it('kernels for another size of address', () => {
    expect(() => link(stock, kernels('simd128', 'wasm64'))).toThrow('another size of address');
  });

  it('kernels with data', () => {
    const withData = writeSections([...readModule(good).sections, { id: SECTION.data, body: Uint8Array.of(0) }]);
    expect(() => link(stock, withData)).toThrow('hold data');
  });

  it('a module without one of the kernels, and a kernel of another type', () => {
    const rename = (from: string, to: string) =>
      replace(good, SECTION.export, (body) => {
        const text = Buffer.from(body);
        text.write(to, text.indexOf(from));
        return text;
      });
    expect(() => link(stock, rename('ggml_vec_dot_q4_1', 'ggml_vec_dot_q4_7'))).toThrow(
      'does not define ggml_vec_dot_q4_1_q8_1',
    );
  });

  it('a module whose data is not laid out as expected', () => {
    const active = replace(stock, SECTION.data, (body) => body.fill(0, 1, 2));
    expect(() => link(active, good)).toThrow(WasmFormatError);
  });

  it('a module that was damaged anywhere before its code', () => {
    for (const id of [SECTION.type, SECTION.import, SECTION.function, SECTION.element, SECTION.start]) {
      expect(() =>
        link(
          replace(stock, id, (body) => body.fill(0xff)),
          good,
        ),
      ).toThrow(WasmFormatError);
      expect(() =>
        link(
          replace(stock, id, (body) => body.subarray(0, body.length / 2)),
          good,
        ),
      ).toThrow(WasmFormatError);
    }
  });

  it('a module that ends early, wherever', () => {
    for (let length = 0; length < stock.length; length += 999_983) {
      expect(() => link(stock.subarray(0, length), good)).toThrow(WasmFormatError);
    }
  });

  it('a prompt cache whose default is not there, or there twice', () => {
    const once = Buffer.from('00fd0c2000000000000000002000000020000000', 'hex');
    expect(Buffer.from(boundPromptCache(once, 256)).readUInt32LE(15)).toBe(256);
    expect(() => boundPromptCache(Buffer.concat([once, once]), 256)).toThrow('found 2 times');
    expect(() => boundPromptCache(Uint8Array.of(0xfd), 256)).toThrow('found 0 times');
  });

  it('a JSON serializer that is not there, or there twice', () => {
    const once = Buffer.from('41003a0080042004200336028805', 'hex');
    expect(Buffer.from(replaceInvalidUtf8(once)).toString('hex')).toBe('41003a0080042004410136028805');
    expect(() => replaceInvalidUtf8(Buffer.concat([once, once]))).toThrow('found 2 times');
    expect(() => replaceInvalidUtf8(Uint8Array.of(0x41, 0))).toThrow('found 0 times');
  });
});

describe.each(['wasm64', 'wasm32'] as const)('wllama %s without kernels', (address) => {
  it('has the two constants of the build with them, and nothing else changed', () => {
    const stock = readModule(BINARIES[address]);
    const patched = readModule(withoutKernels(BINARIES[address]));
    const linked = readModule(buildEngine(BINARIES[address], 'simd128'));
    const changed = patched.bodies.flatMap((body, index) => (same(body, stock.bodies[index]) ? [] : [index]));
    expect(changed).toHaveLength(2);
    for (const index of changed) expect(same(patched.bodies[index] as Uint8Array, linked.bodies[index])).toBe(true);
    for (const [index, { id, body }] of stock.sections.entries()) {
      if (id !== SECTION.code) expect(same(body, patched.sections[index]?.body)).toBe(true);
    }
  });

  it.runIf(address === 'wasm32')('is valid', () => {
    expect(WebAssembly.validate(withoutKernels(BINARIES[address]) as BufferSource)).toBe(true);
  });
});

describe('the build', () => {
  it('leaves another version of wllama as it is, without kernels', () => {
    const other = BINARIES.wasm64.subarray(1);
    expect(withoutKernels(other)).toBe(other);
  });

  it('refuses another version of wllama, and says which it knows', () => {
    const refused = () => buildEngine(BINARIES.wasm64.subarray(1), 'relaxed');
    expect(refused).toThrow(`wllama ${KNOWN_WLLAMA.version}; this one`);
    expect(refused).toThrow(/is another.*engine:check/);
  });

  it('has a cache key that changes with the input and the options, and with nothing else', () => {
    const keys = [
      cacheKey(BINARIES.wasm64, 'relaxed'),
      cacheKey(BINARIES.wasm64, 'simd128'),
      cacheKey(BINARIES.wasm32, 'simd128'),
      cacheKey(BINARIES.wasm32, 'simd128', { promptCacheMib: 64 }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(cacheKey(BINARIES.wasm64.slice(), 'relaxed')).toBe(keys[0]);
  });
});
