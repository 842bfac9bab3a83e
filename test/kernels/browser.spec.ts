import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from '@playwright/test';
import { buildEngine } from '../../src/kernels/build.ts';
import { FORMATS } from '../../src/kernels/reference.ts';

/**
 * What Node 20 can't run: the default build's 64-bit memory. The kernels for 32 bits are tested beside their sources; those
 * for 64 bits, compiled from the same sources, must give the same bits.
 */
const require = createRequire(import.meta.url);
const read = (path: string | URL) => new Uint8Array(readFileSync(path));
const kernels = (name: string) => read(new URL(`../../src/kernels/wasm/${name}.wasm`, import.meta.url));

for (const level of ['simd128', 'relaxed'] as const) {
  test(`wllama's 64-bit binary with kernels for ${level} is valid`, async ({ page }) => {
    const bytes = buildEngine(read(require.resolve('@wllama/wllama/esm/wasm/wllama.wasm')), level);
    await page.route('**/engine.wasm', (route) => route.fulfill({ body: Buffer.from(bytes) }));
    await page.route('**/page', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.goto('http://kernels.test/page');
    const valid = await page.evaluate(async () =>
      WebAssembly.validate(await (await fetch('/engine.wasm')).arrayBuffer()),
    );
    expect(valid).toBe(true);
  });
}

test('the kernels give the same bits at both levels and with both sizes of address', async ({ page }) => {
  const modules = ['simd128-wasm32', 'simd128-wasm64', 'relaxed-wasm32', 'relaxed-wasm64'].map((name) => [
    ...kernels(name),
  ]);
  const formats = FORMATS.map(({ name, elements, xBytes, yBytes }) => ({ name, elements, xBytes, yBytes }));
  const results = await page.evaluate(
    ([modules, formats]) =>
      modules.map((bytes, index) => {
        const is64 = index % 2 === 1;
        const address = (value: number) => (is64 ? BigInt(value) : value);
        // Not in TypeScript's types yet: a memory of 64-bit addresses.
        const descriptor = (is64 ? { initial: 4n, address: 'i64' } : { initial: 4 }) as WebAssembly.MemoryDescriptor;
        const memory = new WebAssembly.Memory(descriptor);
        const module = new WebAssembly.Module(new Uint8Array(bytes));
        const { exports } = new WebAssembly.Instance(module, { env: { memory } });
        const kernel = (name: string) => exports[name] as (...parameters: (number | bigint)[]) => void;
        const buffer = new Uint8Array(memory.buffer);
        const view = new DataView(memory.buffer);

        const dots = formats.map(({ name, elements, xBytes, yBytes }) => {
          const blocks = elements === 1 ? 79 : 7;
          const [x, y] = [buffer.length - blocks * xBytes, 1024];
          let state = 1;
          const byte = () => {
            state = (Math.imul(state, 1103515245) + 12345) >>> 0;
            return (state >>> 16) & 0x3f;
          };
          for (let i = 0; i < blocks * xBytes; i++) buffer[x + i] = byte();
          for (let i = 0; i < blocks * yBytes; i++) buffer[y + i] = byte();
          kernel(name)(blocks * elements, address(64), address(0), address(x), address(0), address(y), address(0), 1);
          return view.getUint32(64, true);
        });

        const quantized = ['quantize_row_q8_0', 'quantize_row_q8_1', 'quantize_row_q8_K'].map((name) => {
          for (let i = 0; i < 512; i++) view.setFloat32(1024 + 4 * i, Math.sin(i) * 2 ** (i % 7), true);
          buffer.fill(0, 8192, 8192 + 1024);
          kernel(name)(address(1024), address(8192), 512n);
          return buffer.slice(8192, 8192 + 1024).reduce((hash, byte) => (Math.imul(hash, 31) + byte) >>> 0, 7);
        });
        return [...dots, ...quantized];
      }),
    [modules, formats] as const,
  );
  for (const result of results) expect(result).toEqual(results[0]);
  expect(new Set(results[0]).size).toBe(formats.length + 3);
});
