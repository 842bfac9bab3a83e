/** The parts of WebGPU that this room calls: what a fake GPU in a test has to have. */

/** Objects that are only handed on. */
export type GpuBindGroup = object;
export type GpuBindGroupLayout = object;
export type GpuCommandBuffer = object;

export interface GpuBuffer {
  readonly label: string;
  readonly size: number;
  readonly usage: number;
}

/** `GPUBufferUsage`. */
export const COPY_DST = 0x08;
export const UNIFORM = 0x40;

export interface GpuBufferBinding {
  buffer: GpuBuffer;
  offset: number;
  /** Undefined: to the buffer's end. */
  size: number | undefined;
}

export interface GpuBindGroupDescriptor {
  layout: GpuBindGroupLayout;
  entries: { binding: number; resource: GpuBufferBinding }[];
}

export interface GpuQueue {
  writeBuffer(
    buffer: GpuBuffer,
    bufferOffset: number,
    data: Uint8Array<ArrayBuffer>,
    dataOffset?: number,
    size?: number,
  ): void;
  submit(commands: GpuCommandBuffer[]): void;
  onSubmittedWorkDone(): Promise<unknown>;
}

export interface GpuDevice {
  readonly queue: GpuQueue;
  readonly limits: {
    readonly minUniformBufferOffsetAlignment: number;
    readonly maxStorageBuffersPerShaderStage: number;
    readonly maxUniformBuffersPerShaderStage: number;
    readonly maxComputeWorkgroupsPerDimension: number;
  };
  readonly lost: Promise<unknown>;
  createBuffer(descriptor: { label: string; size: number; usage: number }): GpuBuffer;
  createBindGroup(descriptor: GpuBindGroupDescriptor): GpuBindGroup;
  createShaderModule(descriptor: { label?: string; code: string }): GpuShaderModule;
  createComputePipeline(descriptor: GpuComputePipelineDescriptor): GpuComputePipeline;
  createComputePipelineAsync(descriptor: GpuComputePipelineDescriptor): Promise<GpuComputePipeline>;
  pushErrorScope(filter: 'validation'): void;
  popErrorScope(): Promise<object | null>;
}

export type GpuShaderModule = object;

export interface GpuComputePipelineDescriptor {
  label?: string;
  layout: 'auto' | object;
  compute: { module: GpuShaderModule; entryPoint?: string; constants?: Record<string, number> };
}

export interface GpuComputePass {
  setPipeline(pipeline: object): void;
  setBindGroup(index: number, group: GpuBindGroup): void;
  dispatchWorkgroups(x: number, y: number, z: number): void;
}

export interface GpuComputePipeline {
  getBindGroupLayout(index: number): GpuBindGroupLayout;
}

export type PowerPreference = 'low-power' | 'high-performance';

export interface GpuAdapterOptions {
  featureLevel?: string | undefined;
  powerPreference?: PowerPreference | undefined;
  forceFallbackAdapter?: boolean | undefined;
}

/** `navigator.gpu`. */
export interface Gpu<Adapter = object> {
  requestAdapter(options?: GpuAdapterOptions): Promise<Adapter | null>;
}
