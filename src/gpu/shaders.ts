/** Which shader a pipeline runs: WebGPU does not tell, so it is noted when both are made. */
import type { GpuComputePipeline, GpuDevice, GpuShaderModule } from './webgpu.ts';
import { readShader, type Shader } from './wgsl.ts';

interface Source {
  label: string;
  code: string;
}

export class Shaders {
  readonly #watched = new WeakSet<GpuDevice>();
  readonly #code = new WeakMap<GpuShaderModule, string>();
  readonly #sources = new WeakMap<GpuComputePipeline, Source>();
  readonly #read = new WeakMap<GpuComputePipeline, Shader | null>();

  /** Notes what the device is asked for from here on, also where it is watched already. */
  watch(device: GpuDevice): void {
    if (this.#watched.has(device)) return;
    this.#watched.add(device);
    const createShaderModule = device.createShaderModule.bind(device);
    const createComputePipeline = device.createComputePipeline.bind(device);
    device.createShaderModule = (descriptor) => {
      const module = createShaderModule(descriptor);
      this.#code.set(module, descriptor.code);
      return module;
    };
    device.createComputePipeline = (descriptor) => {
      const pipeline = createComputePipeline(descriptor);
      const { module, constants = {} } = descriptor.compute;
      const code = this.#code.get(module);
      if (code !== undefined && Object.keys(constants).length === 0) {
        this.#sources.set(pipeline, { label: descriptor.label ?? '', code });
      }
      return pipeline;
    };
  }

  /** ggml's name for the operation. */
  label(pipeline: GpuComputePipeline): string {
    return this.#sources.get(pipeline)?.label ?? '';
  }

  /** Undefined for one that was not noted, or is not as ggml's are. */
  of(pipeline: GpuComputePipeline): Shader | undefined {
    const known = this.#read.get(pipeline);
    if (known !== undefined) return known ?? undefined;
    const source = this.#sources.get(pipeline);
    const shader = source && readShader(source.label, source.code);
    this.#read.set(pipeline, shader ?? null);
    return shader;
  }
}
