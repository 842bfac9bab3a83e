/** A GPU for tests that computes nothing: it hands out what it was told to, and reads back one value. */
import type {
  GpuAdapter,
  GpuAdapterInfo,
  GpuBuffer,
  GpuCommandEncoder,
  GpuDevice,
  GpuPipeline,
} from './webgpu-types.ts';

interface Faults {
  features: ReadonlySet<string>;
  info: GpuAdapterInfo;
  isFallbackAdapter: boolean;
  /** Why no device is given. */
  refuses: string | null;
  /** Whether shaders compile. */
  compiles: boolean;
  /** What is read back, as the bits of a 16-bit float. */
  result: number;
  /** Why the device is lost once it is given; what it was asked for then never ends. */
  loses: string | null;
}

/** 3, which is what the probe's shader comes to. */
const THREE = 0x4200;

export class FakeGpuAdapter implements GpuAdapter {
  readonly features: ReadonlySet<string>;
  readonly info: GpuAdapterInfo;
  readonly isFallbackAdapter: boolean;
  readonly limits = { maxBufferSize: 4_294_967_292, maxStorageBufferBindingSize: 2_147_483_644 };
  readonly #faults: Faults;

  constructor(faults: Partial<Faults> = {}) {
    this.#faults = {
      features: new Set(['shader-f16']),
      info: { vendor: 'nvidia', architecture: 'hopper', device: '', description: '' },
      isFallbackAdapter: false,
      refuses: null,
      compiles: true,
      result: THREE,
      loses: null,
      ...faults,
    };
    ({ features: this.features, info: this.info, isFallbackAdapter: this.isFallbackAdapter } = this.#faults);
  }

  async requestDevice(): Promise<GpuDevice> {
    const { refuses, compiles, result, loses } = this.#faults;
    if (refuses !== null) throw new Error(refuses);
    const buffer: GpuBuffer = {
      mapAsync: () => (loses === null ? Promise.resolve() : new Promise(() => {})),
      getMappedRange: () => new Uint16Array(64).fill(result).buffer,
      unmap() {},
      destroy() {},
    };
    const pipeline: GpuPipeline = { getBindGroupLayout: () => ({}) };
    const encoder: GpuCommandEncoder = {
      beginComputePass: () => ({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} }),
      copyBufferToBuffer() {},
      finish: () => ({}),
    };
    return {
      lost: loses === null ? new Promise(() => {}) : Promise.resolve({ message: loses }),
      queue: { submit() {}, writeBuffer() {} },
      createBuffer: () => buffer,
      createShaderModule: () => ({}),
      async createComputePipelineAsync() {
        if (!compiles) throw new Error('f16 is not allowed here');
        return pipeline;
      },
      createBindGroup: () => ({}),
      createCommandEncoder: () => encoder,
      destroy() {},
    };
  }
}
