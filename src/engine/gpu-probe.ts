/**
 * Tries a GPU before a model is put on it: whether 16-bit arithmetic works there, what a dispatch costs, and how fast it reads
 * its memory. A decoded token is hundreds of small dispatches, one after the other, and one read of all weights: these two
 * numbers tell well enough whether the GPU or the CPU will be faster. Takes a fraction of a second, 64 MiB, no model.
 */
import { BufferUsage, type GpuAdapter, type GpuBuffer, type GpuDevice, MapMode } from './webgpu-types.ts';

export interface GpuSpeed {
  /** Of dispatches that wait for one another, as those of a token do. */
  secondsPerDispatch: number;
  /** Of a shader that reads a large buffer once. */
  bytesPerSecond: number;
}

/** Milliseconds. A driver that hangs must not keep a model from loading on the CPU. */
const TIMEOUT = 5_000;

/** As many as a token of a model of 13 layers has. */
const DISPATCHES = 256;
/** Bytes: more than most GPUs' caches hold, and allowed everywhere (the specification's least limit is 128 MiB). */
const READ_SIZE = 64 * 1024 * 1024;
const READS = 4;
const WORKGROUP = 64;
/** Bytes that each invocation of the reading shader takes. */
const READ_BY_INVOCATION = 8 * 16;

const HALVES = 64;
/** Each dispatch of `HALVE` halves the distance of the values to 3. */
const START = 35;
const HALVE = `enable f16;
@group(0) @binding(0) var<storage, read_write> data: array<f16>;
@compute @workgroup_size(${HALVES}) fn main(@builtin(global_invocation_id) id: vec3u) {
  data[id.x] = data[id.x] * 0.5h + 1.5h;
}`;

const READ = `@group(0) @binding(0) var<storage, read_write> data: array<vec4u>;
@compute @workgroup_size(${WORKGROUP}) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let stride = groups.x * ${WORKGROUP}u;
  var sum = vec4u(0);
  for (var i = 0u; i < ${READ_BY_INVOCATION / 16}u; i++) { sum += data[i * stride + id.x]; }
  // Never true of zeros, which the compiler does not know.
  if (sum.x == 1u) { data[id.x] = sum; }
}`;

/**
 * @throws Error where the device can't be had, is lost, does not answer in time or computes wrong numbers.
 */
export async function probeGpu(adapter: GpuAdapter, now: () => number = () => performance.now()): Promise<GpuSpeed> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${TIMEOUT / 1000} seconds`)), TIMEOUT);
  });
  try {
    const requested = adapter.requestDevice({ requiredFeatures: ['shader-f16'] });
    const device = await Promise.race([requested, timeout]);
    const lost = device.lost.then(({ message }) => Promise.reject(new Error(`the device was lost: ${message}`)));
    try {
      return await Promise.race([probe(device, now), lost, timeout]);
    } finally {
      lost.catch(() => {});
      device.destroy();
    }
  } finally {
    timeout.catch(() => {});
    clearTimeout(timer);
  }
}

async function probe(device: GpuDevice, now: () => number): Promise<GpuSpeed> {
  const values = device.createBuffer({
    size: HALVES * 2,
    usage: BufferUsage.Storage | BufferUsage.CopySource | BufferUsage.CopyDestination,
  });
  const halve = await makeDispatch(device, HALVE, values);
  const read = await makeDispatch(
    device,
    READ,
    device.createBuffer({ size: READ_SIZE, usage: BufferUsage.Storage | BufferUsage.CopySource }),
  );
  const readGroups = READ_SIZE / READ_BY_INVOCATION / WORKGROUP;

  device.queue.writeBuffer(values, 0, new Uint16Array(HALVES).fill(toHalf(START)));
  const round = await fastest(now, () => run(device, halve, 1, 1, values));
  const many = await fastest(now, () => run(device, halve, 1, 1 + DISPATCHES, values));
  const reading = await fastest(now, () => run(device, read, readGroups, READS, values));

  const result = await run(device, halve, 1, 1, values);
  // One bit off is rounding.
  if (result.some((value) => Math.abs(value - toHalf(3)) > 1))
    throw new Error('its 16-bit arithmetic gives wrong numbers');
  return {
    secondsPerDispatch: atLeastOneTick(many - round) / DISPATCHES,
    bytesPerSecond: (READ_SIZE * READS) / atLeastOneTick(reading - round),
  };
}

/** Browsers round time to 5–100 µs; what took no time took less than that. */
function atLeastOneTick(seconds: number): number {
  return Math.max(seconds, 1e-4);
}

/** In the first runs drivers compile and allocate, and an idle GPU runs at a fraction of its clock. */
const RUNS = 5;

async function fastest(now: () => number, work: () => Promise<unknown>): Promise<number> {
  let seconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const start = now();
    await work();
    seconds = Math.min(seconds, (now() - start) / 1000);
  }
  return seconds;
}

/** A recorder of dispatches of one shader over one buffer. */
async function makeDispatch(device: GpuDevice, code: string, buffer: GpuBuffer) {
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  return { pipeline, group };
}

/** Dispatches, and waits by reading values back, as a token does. */
async function run(
  device: GpuDevice,
  { pipeline, group }: Awaited<ReturnType<typeof makeDispatch>>,
  groups: number,
  times: number,
  values: GpuBuffer,
): Promise<Uint16Array> {
  const size = HALVES * 2;
  const readback = device.createBuffer({ size, usage: BufferUsage.MapRead | BufferUsage.CopyDestination });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  for (let i = 0; i < times; i++) {
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups);
  }
  pass.end();
  encoder.copyBufferToBuffer(values, 0, readback, 0, size);
  device.queue.submit([encoder.finish()]);
  await readback.mapAsync(MapMode.Read);
  const result = new Uint16Array(readback.getMappedRange().slice(0));
  readback.unmap();
  readback.destroy();
  return result;
}

/** Bits of a small whole number as a 16-bit float. */
function toHalf(value: number): number {
  const exponent = Math.floor(Math.log2(value));
  return ((exponent + 15) << 10) | ((value / 2 ** exponent - 1) * 1024);
}
