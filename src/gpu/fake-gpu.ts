/**
 * For tests: a GPU that computes nothing, and counts the calls that are made to it. It keeps the order of WebGPU's queue: what
 * a dispatch binds is looked at when its commands are submitted.
 */
import type { GpuAdapterOptions, GpuBindGroupDescriptor, GpuBuffer, GpuComputePipelineDescriptor } from './webgpu.ts';

/** The limits of a large card, as Chromium gives them. */
const LIMITS = {
  maxTextureDimension1D: 16384,
  maxTextureDimension2D: 16384,
  maxTextureDimension3D: 2048,
  maxTextureArrayLayers: 2048,
  maxBindGroups: 4,
  maxBindGroupsPlusVertexBuffers: 24,
  maxBindingsPerBindGroup: 1000,
  maxDynamicUniformBuffersPerPipelineLayout: 10,
  maxDynamicStorageBuffersPerPipelineLayout: 8,
  maxSampledTexturesPerShaderStage: 16,
  maxSamplersPerShaderStage: 16,
  maxStorageBuffersPerShaderStage: 16,
  maxStorageTexturesPerShaderStage: 8,
  maxUniformBuffersPerShaderStage: 12,
  maxUniformBufferBindingSize: 65536,
  maxStorageBufferBindingSize: 2147483644,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
  maxVertexBuffers: 8,
  maxBufferSize: 4294967292,
  maxVertexAttributes: 30,
  maxVertexBufferArrayStride: 2048,
  maxInterStageShaderVariables: 16,
  maxColorAttachments: 8,
  maxColorAttachmentBytesPerSample: 128,
  maxComputeWorkgroupStorageSize: 32768,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
  maxComputeWorkgroupSizeY: 1024,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
};

const INFO = {
  vendor: 'fake',
  architecture: '',
  device: '',
  description: '',
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  isFallbackAdapter: false,
};

/** What a dispatch had before it when its commands were submitted. */
export interface Dispatch {
  /** In the order in which they were made. */
  pipeline: number;
  /** The pipeline that its bind group was made for. */
  layout: number;
  workgroups: number[];
  /** By binding: a uniform buffer's words, or which range of which storage buffer. */
  bindings: Record<number, string | number[]>;
}

interface FakeBuffer extends GpuBuffer {
  /** Of uniform buffers only: the others may be gigabytes. */
  bytes: Uint8Array | null;
  destroyed: boolean;
}

const UNIFORM = 0x40;

export class FakeGpu {
  /** Calls, by method. */
  readonly calls: Record<string, number> = {};
  /** What adapters were asked for. */
  readonly asked: GpuAdapterOptions[] = [];
  /** In the order of the queue. Kept only if asked for: in a browser there are too many. */
  readonly dispatches: Dispatch[] = [];
  /** By `pipeline` of a dispatch, from 1. */
  readonly pipelines: { label: string; code: string }[] = [];
  /** What the compiler says of a shader: null for nothing. */
  compiler: (code: string) => string | null = () => null;
  readonly wgslLanguageFeatures = new Set<string>();
  readonly device = this.#makeDevice();
  readonly #keepDispatches: boolean;

  constructor({ keepDispatches = false } = {}) {
    this.#keepDispatches = keepDispatches;
  }

  async requestAdapter(options: GpuAdapterOptions = {}) {
    this.asked.push(options);
    const features = new Set(['shader-f16', 'subgroups', 'core-features-and-limits']);
    return {
      limits: LIMITS,
      features,
      info: INFO,
      // As it is one: a plan takes it only where it is told to.
      isFallbackAdapter: true,
      requestDevice: async () => this.device,
    };
  }

  getPreferredCanvasFormat() {
    return 'bgra8unorm';
  }

  #count(method: string) {
    this.calls[method] = (this.calls[method] ?? 0) + 1;
  }

  #makeDevice() {
    const count = (method: string) => this.#count(method);
    const queue = {
      writeBuffer: (target: GpuBuffer, offset: number, data: Uint8Array, start = 0, size = data.length - start) => {
        count('writeBuffer');
        const buffer = target as FakeBuffer;
        if (buffer.destroyed) throw new Error(`a write to the destroyed buffer ${buffer.label}`);
        buffer.bytes?.set(data.subarray(start, start + size), offset);
      },
      submit: (commands: object[]) => {
        count('submit');
        if (!this.#keepDispatches) return;
        for (const { run } of commands as { run: (() => Dispatch)[] }[]) {
          for (const dispatch of run) this.dispatches.push(dispatch());
        }
      },
      onSubmittedWorkDone: async () => count('onSubmittedWorkDone'),
    };
    const pipeline = ({ label = '', compute: { module } }: GpuComputePipelineDescriptor) => {
      count('createComputePipeline');
      const id = this.pipelines.push({ label, code: (module as { code: string }).code });
      return {
        id,
        getBindGroupLayout: () => {
          count('getBindGroupLayout');
          return { pipeline: id };
        },
      };
    };
    let fault: string | null = null;
    return {
      limits: LIMITS,
      features: new Set(['shader-f16', 'subgroups', 'core-features-and-limits']),
      adapterInfo: INFO,
      queue,
      lost: new Promise<unknown>(() => {}),
      onuncapturederror: null,
      addEventListener: () => {},
      destroy: () => {},
      createBuffer: ({ label, size, usage }: { label: string; size: number; usage: number }) => {
        count('createBuffer');
        const bytes = usage & UNIFORM ? new Uint8Array(size) : null;
        return {
          label,
          size,
          usage,
          bytes,
          destroyed: false,
          getMappedRange: (_offset: number, length = size) => new ArrayBuffer(length),
          mapAsync: async () => count('mapAsync'),
          unmap: () => {},
          destroy() {
            this.destroyed = true;
          },
        };
      },
      createShaderModule: ({ code }: { code: string }) => {
        fault = this.compiler(code);
        return { code, getCompilationInfo: async () => ({ messages: [] }) };
      },
      createComputePipeline: pipeline,
      createComputePipelineAsync: async (descriptor: GpuComputePipelineDescriptor) => pipeline(descriptor),
      createBindGroup: ({ layout, entries }: GpuBindGroupDescriptor) => {
        count('createBindGroup');
        return { layout: (layout as { pipeline: number }).pipeline, bindings: () => this.#look(entries) };
      },
      createCommandEncoder: () => this.#makeEncoder(),
      pushErrorScope: () => {
        fault = null;
      },
      popErrorScope: async () => (fault === null ? null : { message: fault }),
    };
  }

  #makeEncoder() {
    const run: (() => Dispatch)[] = [];
    const keep = this.#keepDispatches;
    return {
      beginComputePass: () => {
        let pipeline = 0;
        let group: { layout: number; bindings(): Dispatch['bindings'] } | undefined;
        return {
          setPipeline: (set: { id: number }) => {
            this.#count('setPipeline');
            pipeline = set.id;
          },
          setBindGroup: (_index: number, set: typeof group) => {
            this.#count('setBindGroup');
            group = set;
          },
          dispatchWorkgroups: (...workgroups: [number, number, number]) => {
            this.#count('dispatchWorkgroups');
            if (!keep) return;
            const [setPipeline, setGroup] = [pipeline, group];
            run.push(() => ({
              pipeline: setPipeline,
              layout: setGroup?.layout ?? 0,
              workgroups,
              bindings: setGroup?.bindings() ?? {},
            }));
          },
          end: () => {},
        };
      },
      copyBufferToBuffer: () => this.#count('copyBufferToBuffer'),
      clearBuffer: () => {},
      finish: () => ({ run }),
    };
  }

  #look(entries: GpuBindGroupDescriptor['entries']): Dispatch['bindings'] {
    return Object.fromEntries(
      entries.map(({ binding, resource: { buffer, offset, size } }) => {
        const { bytes, destroyed, label } = buffer as FakeBuffer;
        if (destroyed) throw new Error(`a dispatch with the destroyed buffer ${label}`);
        if (bytes === null) return [binding, `${label} ${offset}+${size ?? 'rest'}`];
        const end = size === undefined ? bytes.length : offset + size;
        return [binding, [...new Uint32Array(bytes.slice(offset, end).buffer)]];
      }),
    );
  }
}
