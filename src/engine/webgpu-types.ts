/** The part of WebGPU that is used here; TypeScript's own library does not hold it for workers. Spec: https://gpuweb.github.io/gpuweb */

export interface GpuAdapterInfo {
  vendor?: string;
  architecture?: string;
  device?: string;
  description?: string;
  isFallbackAdapter?: boolean;
}

export interface GpuAdapter {
  features: ReadonlySet<string>;
  /** Bytes, for both limits. */
  limits: { maxBufferSize: number; maxStorageBufferBindingSize: number };
  /** Moved to `info` in newer browsers. */
  isFallbackAdapter?: boolean;
  info?: GpuAdapterInfo;
  requestDevice(descriptor?: { requiredFeatures?: string[] }): Promise<GpuDevice>;
}

export interface GpuDevice {
  readonly lost: Promise<{ message: string }>;
  readonly queue: GpuQueue;
  createBuffer(descriptor: { size: number; usage: number; mappedAtCreation?: boolean }): GpuBuffer;
  createShaderModule(descriptor: { code: string }): GpuObject;
  createComputePipelineAsync(descriptor: {
    layout: 'auto';
    compute: { module: GpuObject; entryPoint: string };
  }): Promise<GpuPipeline>;
  createBindGroup(descriptor: {
    layout: GpuObject;
    entries: { binding: number; resource: { buffer: GpuBuffer } }[];
  }): GpuObject;
  createCommandEncoder(): GpuCommandEncoder;
  destroy(): void;
}

/** A handle that is only passed on. */
export type GpuObject = object;

export interface GpuPipeline {
  getBindGroupLayout(index: number): GpuObject;
}

export interface GpuBuffer {
  mapAsync(mode: number): Promise<void>;
  getMappedRange(): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

export interface GpuQueue {
  submit(commands: GpuObject[]): void;
  writeBuffer(buffer: GpuBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void;
}

export interface GpuCommandEncoder {
  beginComputePass(): GpuComputePass;
  copyBufferToBuffer(from: GpuBuffer, fromOffset: number, to: GpuBuffer, toOffset: number, size: number): void;
  finish(): GpuObject;
}

export interface GpuComputePass {
  setPipeline(pipeline: GpuPipeline): void;
  setBindGroup(index: number, group: GpuObject): void;
  dispatchWorkgroups(x: number): void;
  end(): void;
}

/** `GPUBufferUsage` and `GPUMapMode`, whose values the specification fixes. */
export const BufferUsage = { MapRead: 0x1, CopySource: 0x4, CopyDestination: 0x8, Storage: 0x80 } as const;
export const MapMode = { Read: 0x1 } as const;
