import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { link, KERNELS } from './link.ts';
import { readModule, whyNotMovable } from './wasm-binary.ts';
const require = createRequire(import.meta.url);
describe('x', () => {
  for (const a of ['wasm64', 'wasm32']) for (const l of ['simd128', 'relaxed']) it(a + l, () => {
    const k = readFileSync(new URL(`./wasm/${l}-${a}.wasm`, import.meta.url));
    const m = readModule(k);
    for (const kn of KERNELS) { const i = m.exports.get(kn.name); const b = m.bodies[(i ?? -1) - m.importedFunctions]; console.log(a, l, kn.name, b?.length, b && whyNotMovable(b)); }
    console.log(m.sections.map(s => s.id), m.bodies.length);
    const t = performance.now();
    const out = link(readFileSync(a === 'wasm64' ? require.resolve('@wllama/wllama/esm/wasm/wllama.wasm') : require.resolve('@wllama/wllama-compat/wasm/wllama.wasm')), k);
    console.log('linked', out.length, performance.now() - t, WebAssembly.validate(out));
    expect(out.length).toBeGreaterThan(1e6);
  }, 60000);
});
