import { describe, expect, it } from 'vitest';
import { readShader } from './wgsl.ts';

const SHADER = `
enable f16;
diagnostic(off, subgroup_uniformity);
// fn commented() {}
const SCALE: f32 = 1e-5f; /* var<private> none: u32; */
struct Params { offset: u32, scale: f32, };
struct More { a_value: u32 }
@group(0) @binding(0) var<storage, read_write> src: array<vec4<f32>>;
@group(0) @binding(0 + 1)
var<storage, read_write> dst: array<f32>;
@group(0) @binding(2) var<storage, read_write> error: atomic<u32>;
@group(0) @binding(3) var<uniform> params: Params;
var<workgroup> sums: array<f32, 4 * 64>;
fn load(i: u32) -> f32 { if (i < 4u && src[i >> 2u].x == 1.0) { return src[i].y; } return 0.5f; }
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>,
        @builtin(local_invocation_id) lid: vec3<u32>,) {
  sums[lid.x] = load(wid.x);
  workgroupBarrier();
  dst[wid.x] += sums[0] * SCALE * params.scale;
  atomicStore(&error, 1);
}
`;

describe('readShader', () => {
  it('finds bindings, names, the entry point and what is only read', () => {
    expect(readShader('a label', SHADER)).toMatchObject({
      label: 'a label',
      directives: ['enable f16 ;', 'diagnostic ( off , subgroup_uniformity ) ;'],
      names: new Set(['SCALE', 'Params', 'More', 'src', 'dst', 'error', 'params', 'sums', 'load', 'main']),
      bindings: [
        { binding: 0, space: 'storage,read_write', name: 'src', type: 'array<vec4<f32>>', isRead: true },
        { binding: 1, space: 'storage,read_write', name: 'dst', type: 'array<f32>', isRead: false },
        { binding: 2, space: 'storage,read_write', name: 'error', type: 'atomic<u32>', isRead: false },
        { binding: 3, space: 'uniform', name: 'params', type: 'Params' },
      ],
      hasWorkgroupMemory: true,
      entry: 'main',
      builtins: ['workgroup_id', 'local_invocation_id'],
      size: 64,
    });
  });

  it('keeps every token: numbers and operators are not taken apart', () => {
    const code = 'const A = 1.5e-3f + .5 - 0x1Fu; @compute @workgroup_size(1) fn main() { let b = A <= 1.0 || !true; }';
    expect(readShader('', code)?.declarations).toEqual([
      ['const', 'A', '=', '1.5e-3f', '+', '.5', '-', '0x1Fu', ';'],
      ['fn', 'main', '(', ')', '{', 'let', 'b', '=', 'A', '<=', '1.0', '||', '!', 'true', ';', '}'],
    ]);
  });

  it.each([
    ['src[i].x = 1.0;', false],
    ['src[f(i)][0] += 1.0;', false],
    ['src[i].x++;', false],
    ['let p = &src[i];', false],
    ['let n = arrayLength(&src);', false],
    ['let whole = src;', false],
    ['if (src[i].x == 1.0) { }', true],
    ['let y = src[u32(src[i].x)].y;', true],
  ])('%s reads only: %s', (statement, isRead) => {
    const code = `@group(0) @binding(0) var<storage, read_write> src: array<vec4<f32>>;
      @compute @workgroup_size(1) fn main() { ${statement} }`;
    expect(readShader('', code)?.bindings[0]?.isRead).toBe(isRead);
  });

  it.each([
    ['var<private> kept: u32;', 'private memory'],
    ['override size: u32 = 4;', 'constants of the pipeline'],
    ['@group(1) @binding(0) var<storage, read_write> other: array<u32>;', 'another group'],
    ['@group(0) @binding(SRC) var<storage, read_write> other: array<u32>;', 'a binding by name'],
    ['fn x() {}', 'a name that is a component of a vector'],
    ['fn workgroup_id() {}', 'a name that is a builtin’s'],
    ['@id(3) override other: u32;', 'another attribute'],
  ])('%s is not read: %s', (declaration) => {
    expect(readShader('', `${declaration} @compute @workgroup_size(1) fn main() {}`)).toBeUndefined();
  });

  it.each([
    'fn main() {}',
    '@compute @workgroup_size(8, 8) fn main() {}',
    '@compute @workgroup_size(wg_size) fn main() {}',
    '@compute @workgroup_size(1) fn main(@builtin(position) p: vec4<f32>) {}',
  ])('%s is no entry point that is known', (code) => {
    expect(readShader('', code)).toBeUndefined();
  });
});
