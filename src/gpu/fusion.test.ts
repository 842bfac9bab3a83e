/** Dispatches as ggml's graphs have them, through the patched glue: what the GPU is given for them. */
import { beforeAll, describe, expect, it } from 'vitest';
import { gpuRuntime } from './build.ts';
import { FakeGpu } from './fake-gpu.ts';
import { FakeGgml, publishedGlue, slotOf } from './glue-harness.ts';
import { patchGlue } from './patch-glue.ts';
import { COPY_DST } from './webgpu.ts';

let published = '';
let runtime = '';
beforeAll(async () => {
  published = publishedGlue();
  runtime = await gpuRuntime();
});

const STORAGE = 0x80;

/** A shader that reads its first bindings, and writes its last one. */
function shader({ reads = ['array<f32>'], writes = 'array<f32>', size = 64, memory = false } = {}): string {
  const bindings = [...reads, writes].map(
    (type, i) => `@group(0) @binding(${i}) var<storage, read_write> b${i}: ${type};`,
  );
  const parameters = `struct Params { n: u32 } @group(0) @binding(${reads.length + 1}) var<uniform> params: Params;`;
  const sum = reads.map((type, i) => (type.includes('vec4') ? `b${i}[gid.x].x` : `f32(b${i}[gid.x])`)).join(' + ');
  return `${bindings.join('\n')}\n${parameters}\n${memory ? 'var<workgroup> sums: array<f32, 64>;' : ''}
    @compute @workgroup_size(${size}) fn main(@builtin(global_invocation_id) gid: vec3<u32>) { b${reads.length}[gid.x] = ${sum}; }`;
}

const PRODUCT = shader({ reads: ['array<u32>', 'array<f32>'], memory: true });
const ADD = shader({ reads: ['array<f32>'] });
const NORM = shader({ reads: ['array<f32>', 'array<f32>'], memory: true });

interface Step {
  pipeline: number;
  /** Which buffer and, after a colon, which offset: 256 bytes are bound. */
  ranges: string[];
  workgroups?: number;
  y?: number;
}

function start({ fuse = true, limits = {} } = {}) {
  const gpu = new FakeGpu({ keepDispatches: true });
  Object.assign(gpu.device, { limits: { ...gpu.device.limits, ...limits } });
  const ggml = new FakeGgml(patchGlue(published, runtime, { fuse }), gpu.device);
  const arena = ggml.createArena(74);
  const buffers = new Map<string, number>();
  const buffer = (name: string) => {
    const known = buffers.get(name) ?? ggml.createBuffer(name, 65536, STORAGE | COPY_DST);
    buffers.set(name, known);
    return known;
  };
  /** Two graphs: in the first one, shaders are asked for; in the second one they are there. @returns what the second one was given */
  const twice = async (steps: Step[]) => {
    await graph(steps);
    const first = gpu.dispatches.length;
    await graph(steps);
    return gpu.dispatches.slice(first).map(({ pipeline, workgroups, bindings }) => ({
      label: gpu.pipelines[pipeline - 1]?.label,
      workgroups: workgroups[0],
      bindings: Object.values(bindings).map((bound) => (Array.isArray(bound) ? bound.slice(0, 4) : bound)),
    }));
  };
  const graph = async (steps: Step[]) => {
    const encoder = ggml.encoder();
    const pass = ggml.beginPass(encoder);
    steps.forEach(({ pipeline, ranges, workgroups = 1, y = 1 }, slot) => {
      const bindings = ranges.map((range) => {
        const [name = '', offset = 0] = range.split(':');
        return { buffer: buffer(name), offset: Number(offset), size: 256 };
      });
      const group = ggml.bindGroup(pipeline, [...bindings, slotOf(arena, slot)]);
      ggml.write(arena, slot * 256, [100 + slot]);
      ggml.dispatch(pass, pipeline, group, workgroups, y);
      ggml.delete(group);
    });
    ggml.endPass(pass);
    ggml.submit(ggml.finish(encoder));
    await ggml.waitAny(ggml.map(buffer('results'), 4));
  };
  return { gpu, ggml, twice, buffer };
}

const labels = (dispatches: { label: string | undefined }[]) => dispatches.map(({ label }) => label);

describe('products of a row with several matrices', () => {
  it('are one dispatch, with a share of the workgroups each', async () => {
    const { ggml, twice } = start();
    const product = ggml.createPipeline('mul_mat_vec_q4_0', PRODUCT);
    const dispatches = await twice([
      { pipeline: product, ranges: ['weights:0', 'x:0', 'y:0'], workgroups: 48 },
      { pipeline: product, ranges: ['weights:256', 'x:0', 'y:256'], workgroups: 16 },
      { pipeline: product, ranges: ['weights:512', 'x:0', 'y:512'], workgroups: 16 },
    ]);
    const ranges = [
      'weights 0+256',
      'x 0+256',
      'y 0+256',
      'weights 256+256',
      'y 256+256',
      'weights 512+256',
      'y 512+256',
    ];
    const label = 'mul_mat_vec_q4_0 + mul_mat_vec_q4_0 + mul_mat_vec_q4_0';
    expect(dispatches).toEqual([
      { label, workgroups: 80, bindings: [...ranges, [100, 0, 0, 0], [101, 0, 0, 0], [102, 0, 0, 0], [48, 16, 16, 0]] },
    ]);
  });

  it.each([
    ['one reads what another one writes', ['weights:256', 'y:0', 'y:256']],
    ['both write the same', ['weights:256', 'x:0', 'y:0']],
    ['one writes what another one reads', ['weights:256', 'x:256', 'x:0']],
    ['a range reaches into another', ['weights:256', 'x:128', 'y:256']],
  ])('stay apart where %s', async (_, ranges) => {
    const { ggml, twice } = start();
    const product = ggml.createPipeline('mul_mat_vec_q4_0', PRODUCT);
    const steps = [
      { pipeline: product, ranges: ['weights:0', 'x:0', 'y:0'] },
      { pipeline: product, ranges },
    ];
    expect(labels(await twice(steps))).toEqual(['mul_mat_vec_q4_0', 'mul_mat_vec_q4_0']);
  });

  it('stay apart where the device has too few bindings or workgroups, or they have rows in y', async () => {
    const steps = (pipeline: number, y = 1) => [
      { pipeline, ranges: ['weights:0', 'x:0', 'y:0'], workgroups: 40, y },
      { pipeline, ranges: ['weights:256', 'x:0', 'y:256'], workgroups: 40, y },
    ];
    for (const limits of [
      { maxStorageBuffersPerShaderStage: 4 },
      { maxUniformBuffersPerShaderStage: 2 },
      { maxComputeWorkgroupsPerDimension: 79 },
    ]) {
      const { ggml, twice } = start({ limits });
      expect(await twice(steps(ggml.createPipeline('mul_mat_vec_q4_0', PRODUCT))), JSON.stringify(limits)).toHaveLength(
        2,
      );
    }
    const { ggml, twice } = start();
    expect(await twice(steps(ggml.createPipeline('mul_mat_vec_q4_0', PRODUCT), 2))).toHaveLength(2);
  });
});

describe('short operations that follow one another', () => {
  it('are run by one workgroup, in turn, and share what they hand on', async () => {
    const { ggml, twice } = start();
    const add = ggml.createPipeline('ADD_f32', ADD);
    const norm = ggml.createPipeline('RMS_NORM_MUL', NORM);
    const dispatches = await twice([
      { pipeline: add, ranges: ['x:0', 'x:256'], workgroups: 3 },
      { pipeline: norm, ranges: ['x:256', 'weights:0', 'x:512'] },
    ]);
    expect(dispatches).toEqual([
      {
        label: 'ADD_f32 + RMS_NORM_MUL',
        workgroups: 1,
        bindings: ['x 0+256', 'x 256+256', 'weights 0+256', 'x 512+256', [100, 0, 0, 0], [101, 0, 0, 0], [3, 1, 0, 0]],
      },
    ]);
  });

  it('read as vectors what is written as scalars', async () => {
    const { gpu, ggml, twice } = start();
    const rope = ggml.createPipeline('rope_f32', ADD);
    const rows = ggml.createPipeline(
      'set_rows_dstf16_vec4',
      shader({ reads: ['array<vec4<f32>>'], writes: 'array<vec4<f16>>' }),
    );
    const dispatches = await twice([
      { pipeline: rope, ranges: ['x:0', 'x:256'] },
      { pipeline: rows, ranges: ['x:256', 'cache:0'] },
    ]);
    expect(labels(dispatches)).toEqual(['rope_f32 + set_rows_dstf16_vec4']);
    expect(gpu.pipelines.at(-1)?.code).toContain(
      'fn vector1_1(at: u32) -> vec4<f32> { return vec4<f32>(storage1[4u * at + 0u], storage1[4u * at + 1u], storage1[4u * at + 2u], storage1[4u * at + 3u]); }',
    );
  });

  it.each([
    [
      'they have too many workgroups',
      [
        { label: 'ADD_f32', code: ADD, workgroups: 5 },
        { label: 'ADD_f32', code: ADD },
      ],
    ],
    [
      'their workgroups differ in size',
      [
        { label: 'ADD_f32', code: ADD },
        { label: 'rope_f32', code: shader({ size: 32 }) },
      ],
    ],
    [
      'one is not known to be short',
      [
        { label: 'ADD_f32', code: ADD },
        { label: 'flash_attn', code: ADD },
      ],
    ],
    [
      'two have workgroup memory',
      [
        { label: 'ADD_f32', code: shader({ memory: true }) },
        { label: 'rope_f32', code: shader({ memory: true }) },
      ],
    ],
    [
      'types differ otherwise',
      [
        { label: 'ADD_f32', code: ADD },
        { label: 'set_rows', code: shader({ reads: ['array<u32>'] }) },
      ],
    ],
    [
      'a shader can’t be read',
      [
        { label: 'ADD_f32', code: ADD },
        { label: 'rope_f32', code: `var<private> p: u32;${ADD}` },
      ],
    ],
  ])('stay apart where %s', async (_, operations) => {
    const { ggml, twice } = start();
    const steps = operations.map(({ label, code, ...rest }, i) => ({
      pipeline: ggml.createPipeline(label, code),
      ranges: [`x:${i * 256}`, `x:${(i + 1) * 256}`],
      ...rest,
    }));
    expect(labels(await twice(steps))).toEqual(operations.map(({ label }) => label));
  });

  it('stay apart where ranges overlap without being the same', async () => {
    const { ggml, twice } = start();
    const add = ggml.createPipeline('ADD_f32', ADD);
    const steps = [
      { pipeline: add, ranges: ['x:0', 'x:512'] },
      { pipeline: add, ranges: ['x:640', 'x:1024'] },
    ];
    expect(await twice(steps)).toHaveLength(2);
  });

  it('are four at most in one', async () => {
    const { ggml, twice } = start();
    const add = ggml.createPipeline('ADD_f32', ADD);
    const steps = Array.from({ length: 6 }, (_, i) => ({
      pipeline: add,
      ranges: [`x:${i * 256}`, `x:${(i + 1) * 256}`],
    }));
    expect(labels(await twice(steps))).toEqual(['ADD_f32 + ADD_f32 + ADD_f32 + ADD_f32', 'ADD_f32 + ADD_f32']);
  });
});

describe('a graph', () => {
  const layer = (ggml: FakeGgml) => {
    const product = ggml.createPipeline('mul_mat_vec_q4_0', PRODUCT);
    const add = ggml.createPipeline('ADD_f32', ADD);
    const attention = ggml.createPipeline('flash_attn', ADD);
    return [
      { pipeline: product, ranges: ['weights:0', 'x:0', 'x:256'], workgroups: 9 },
      { pipeline: add, ranges: ['x:256', 'x:512'] },
      { pipeline: product, ranges: ['weights:256', 'x:512', 'x:768'], workgroups: 9 },
      { pipeline: product, ranges: ['weights:512', 'x:512', 'x:1024'], workgroups: 9 },
      { pipeline: attention, ranges: ['x:768', 'x:1280'] },
    ];
  };

  it('keeps its order; what is not fused is given as it is', async () => {
    const { ggml, twice } = start();
    expect(labels(await twice(layer(ggml)))).toEqual([
      'mul_mat_vec_q4_0',
      'ADD_f32',
      'mul_mat_vec_q4_0 + mul_mat_vec_q4_0',
      'flash_attn',
    ]);
  });

  it('is given as it is if asked for, and where the compiler refuses: nothing is tried again', async () => {
    const unfused = start({ fuse: false });
    expect(await unfused.twice(layer(unfused.ggml))).toHaveLength(5);
    const refused = start();
    const asked: string[] = [];
    refused.gpu.compiler = (code) => {
      asked.push(code);
      return code.includes('counts') ? 'it says no' : null;
    };
    const steps = layer(refused.ggml);
    expect(await refused.twice(steps)).toHaveLength(5);
    const count = asked.length;
    expect(await refused.twice(steps)).toHaveLength(5);
    expect(asked.length).toBe(count);
  });

  it('costs neither bind groups nor writes once it was seen; what is kept goes with its buffers', async () => {
    const { gpu, ggml, twice, buffer } = start();
    const steps = layer(ggml);
    await twice(steps);
    const before = { ...gpu.calls };
    expect(await twice(steps)).toHaveLength(4);
    expect(gpu.calls.createBindGroup).toBe(before.createBindGroup);
    expect(gpu.calls.writeBuffer).toBe(before.writeBuffer);
    expect(ggml.ours?.sizes).toMatchObject({ bindGroups: 5, fusedShaders: 1, parameterPages: 1 });
    ggml.destroyBuffer(buffer('x'));
    expect(ggml.ours?.sizes).toMatchObject({ bindGroups: 0, buffers: 0 });
  });
});
