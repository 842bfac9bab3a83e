/**
 * For tests: emscripten's WebGPU glue, as wllama carries it, without its wasm. A program in TypeScript is in wasm's place: it
 * lays out structures in a memory of its own and calls the functions as compiled C++ does.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { runInNewContext } from 'node:vm';
import { withGlue } from './build.ts';
import type { GpuGlue } from './gpu-glue.ts';
import { ARENA_LABEL, SLOT_BYTES } from './parameter-arena.ts';
import { COPY_DST, type GpuDevice, type GpuShaderModule, UNIFORM } from './webgpu.ts';

/** `WLLAMA_EMSCRIPTEN_CODE` of the wllama that is installed. */
export function publishedGlue(): string {
  const path = createRequire(import.meta.url).resolve('@wllama/wllama/esm/index.js');
  let found = '';
  withGlue(readFileSync(path, 'utf8'), (glue) => {
    found = glue;
    return glue;
  });
  return found;
}

/** Of emscripten's runtime, what the WebGPU functions use. */
const RUNTIME_STUBS = `
  var HEAPU8=new Uint8Array(memory),HEAP32=new Int32Array(memory),HEAPU32=new Uint32Array(memory),HEAPF64=new Float64Array(memory),HEAP64=new BigInt64Array(memory),HEAPU64=new BigUint64Array(memory);
  function growMemViews(){}
  var UTF8ToString=(at,length)=>{var text='';for(var i=0;i<length&&HEAPU8[at+i];i++)text+=String.fromCharCode(HEAPU8[at+i]);return text};
  var runtimeKeepaliveCounter=0,runtimeKeepalivePush=()=>{},callUserCallback=run=>run();
  var Asyncify={handleAsync:run=>run()};
  var _emwgpuCreateBindGroup=()=>newObject(),_emwgpuCreateBindGroupLayout=()=>newObject(),_emwgpuCreateComputePassEncoder=()=>newObject(),_emwgpuCreateCommandBuffer=()=>newObject(),_emwgpuCreateCommandEncoder=()=>newObject();
  var _emwgpuOnWorkDoneCompleted=future=>workDone(future),_emwgpuOnMapAsyncCompleted=()=>{};
`;

const FUNCTIONS = [
  '_emwgpuBufferDestroy',
  '_emwgpuBufferMapAsync',
  '_emwgpuDelete',
  '_emwgpuDeviceCreateBuffer',
  '_emwgpuDeviceCreateShaderModule',
  '_emwgpuQueueOnSubmittedWorkDone',
  '_emwgpuWaitAny',
  '_wgpuCommandEncoderBeginComputePass',
  '_wgpuCommandEncoderFinish',
  '_wgpuComputePassEncoderDispatchWorkgroups',
  '_wgpuComputePassEncoderEnd',
  '_wgpuComputePassEncoderSetBindGroup',
  '_wgpuComputePassEncoderSetPipeline',
  '_wgpuComputePipelineGetBindGroupLayout',
  '_wgpuDeviceCreateBindGroup',
  '_wgpuDeviceCreateCommandEncoder',
  '_wgpuQueueSubmit',
  '_wgpuQueueWriteBuffer',
] as const;

type Functions = Record<(typeof FUNCTIONS)[number], (...values: (bigint | number)[]) => bigint | number | undefined>;

/** The glue's text from its WebGPU object to the last function that is called here. */
function webGpuPart(glue: string): string {
  const start = glue.indexOf('var readI53FromI64=');
  const end = glue.indexOf('var Asyncify={');
  const helpers = /var INT53_MAX=.*?Number\(num\);/.exec(glue)?.[0] ?? '';
  // Between WebGPU's functions are others, which touch nothing of a browser when they are defined.
  return `${helpers}${glue.slice(start, end)}`;
}

export interface BindingOfBuffer {
  buffer: number;
  offset?: number;
  size?: number;
}

const FIRST_WORD = 4;

/** A program as ggml's WebGPU backend is one. */
export class FakeGgml {
  readonly #memory = new ArrayBuffer(1 << 20);
  readonly #words = new Uint32Array(this.#memory);
  readonly #glue: Functions & { WebGPU: { Internals: { jsObjects: unknown[] } }; llamatabGpu?: GpuGlue };
  /** Where structures are laid out, again and again: words, and not at null. */
  #top = FIRST_WORD;
  #nextObject = 0x1000;
  /** As malloc does, the last freed address is the next. */
  readonly #freeObjects: number[] = [];
  #futures = 0;
  #timers = 0;
  /** Under way. */
  readonly timers = new Map<number, { milliseconds: number; end: () => void }>();
  /** Futures that wasm was told of. */
  readonly done = new Set<number>();
  readonly device: number;
  readonly queue: number;

  /** @param glue Published, or patched. */
  constructor(glue: string, gpuDevice: { queue: object }) {
    this.#glue = runInNewContext(
      `${RUNTIME_STUBS}${webGpuPart(glue)};({WebGPU,llamatabGpu:globalThis.llamatabGpu,${FUNCTIONS.join()}})`,
      {
        memory: this.#memory,
        newObject: () => this.#newObject(),
        workDone: (future: number) => this.done.add(Number(future)),
        setTimeout: (run: (value: unknown) => void, milliseconds: number, value: unknown) => {
          this.timers.set(++this.#timers, { milliseconds, end: () => run(value) });
          return this.#timers;
        },
        clearTimeout: (timer: number) => this.timers.delete(timer),
      },
    );
    this.device = this.#newObject(gpuDevice);
    this.queue = this.#newObject(gpuDevice.queue);
  }

  get ours(): GpuGlue | undefined {
    return this.#glue.llamatabGpu;
  }

  get objects(): unknown[] {
    return this.#glue.WebGPU.Internals.jsObjects;
  }

  #newObject(object?: object): number {
    const address = this.#freeObjects.pop() ?? this.#nextObject++ * 16;
    if (object) this.objects[address] = object;
    return address;
  }

  /** `release` of a handle that nothing else holds. */
  delete(address: number): void {
    this.#glue._emwgpuDelete(BigInt(address));
    this.#freeObjects.push(address);
  }

  #layOut(words: number[]): number {
    if (this.#top + words.length > this.#words.length) this.#top = FIRST_WORD;
    // Structures begin at multiples of 8 bytes.
    this.#top += this.#top % 2;
    this.#words.set(words, this.#top);
    const at = this.#top * 4;
    this.#top += words.length;
    return at;
  }

  #text(text: string): number {
    const bytes = [...text].map((character) => character.charCodeAt(0));
    while (bytes.length % 4 !== 0) bytes.push(0);
    return this.#layOut([...new Uint32Array(Uint8Array.from(bytes).buffer)]);
  }

  #call(name: keyof Functions, ...values: (bigint | number)[]): number {
    return Number(this.#glue[name](...values) ?? 0);
  }

  createBuffer(label: string, size: number, usage: number): number {
    const address = this.#newObject();
    const name = this.#text(label);
    const descriptor = this.#layOut([0, 0, name, 0, label.length, 0, usage, 0, size, 0, 0, 0]);
    this.#call('_emwgpuDeviceCreateBuffer', BigInt(this.device), BigInt(descriptor), BigInt(address));
    return address;
  }

  createArena(slots: number, stride = 256): number {
    return this.createBuffer(ARENA_LABEL, slots * stride, UNIFORM | COPY_DST);
  }

  createPipeline(label = 'a pipeline', code = ''): number {
    const address = this.#newObject();
    const name = this.#layOut([0, 0, 2, 0, this.#text(code), 0, code.length, 0]);
    const descriptor = this.#layOut([name, 0, this.#text(label), 0, label.length, 0]);
    this.#call('_emwgpuDeviceCreateShaderModule', BigInt(this.device), BigInt(descriptor), BigInt(address));
    const device = this.objects[this.device] as GpuDevice;
    const module = this.objects[address] as GpuShaderModule;
    this.delete(address);
    return this.#newObject(device.createComputePipeline({ label, layout: 'auto', compute: { module } }));
  }

  destroyBuffer(buffer: number): void {
    this.#call('_emwgpuBufferDestroy', BigInt(buffer));
  }

  write(buffer: number, offset: number, words: number[]): void {
    const data = this.#layOut(words);
    const [to, from, size] = [BigInt(offset), BigInt(data), BigInt(words.length * 4)];
    this.#call('_wgpuQueueWriteBuffer', BigInt(this.queue), BigInt(buffer), to, from, size);
  }

  bindGroup(pipeline: number, bindings: BindingOfBuffer[]): number {
    const layout = this.#call('_wgpuComputePipelineGetBindGroupLayout', BigInt(pipeline), 0);
    const entries = this.#layOut(
      bindings.flatMap(({ buffer, offset = 0, size }, binding) => {
        const [low, high] = size === undefined ? [0xffffffff, 0xffffffff] : [size, 0];
        return [0, 0, binding, 0, buffer, 0, offset, 0, low, high, 0, 0, 0, 0];
      }),
    );
    const label = this.#text('a label');
    const descriptor = this.#layOut([0, 0, label, 0, 7, 0, layout, 0, bindings.length, 0, entries, 0]);
    const group = this.#call('_wgpuDeviceCreateBindGroup', BigInt(this.device), BigInt(descriptor));
    this.delete(layout);
    return group;
  }

  encoder(): number {
    return this.#call('_wgpuDeviceCreateCommandEncoder', BigInt(this.device), 0n);
  }

  beginPass(encoder: number): number {
    return this.#call('_wgpuCommandEncoderBeginComputePass', BigInt(encoder), 0n);
  }

  dispatch(pass: number, pipeline: number, group: number, workgroups: number, y = 1): void {
    this.#call('_wgpuComputePassEncoderSetPipeline', BigInt(pass), BigInt(pipeline));
    this.#call('_wgpuComputePassEncoderSetBindGroup', BigInt(pass), 0, BigInt(group), 0n, 0n);
    this.#call('_wgpuComputePassEncoderDispatchWorkgroups', BigInt(pass), workgroups, y, 1);
  }

  endPass(pass: number): void {
    this.#call('_wgpuComputePassEncoderEnd', BigInt(pass));
    this.delete(pass);
  }

  finish(encoder: number): number {
    const commands = this.#call('_wgpuCommandEncoderFinish', BigInt(encoder), 0n);
    this.delete(encoder);
    return commands;
  }

  submit(commands: number): void {
    const list = this.#layOut([commands, 0]);
    this.#call('_wgpuQueueSubmit', BigInt(this.queue), 1n, BigInt(list));
    this.delete(commands);
  }

  #future(name: '_emwgpuQueueOnSubmittedWorkDone' | '_emwgpuBufferMapAsync', ...values: bigint[]): number {
    const [object = 0n, ...rest] = values;
    const future = ++this.#futures;
    this.#call(name, object, BigInt(future), ...rest);
    return future;
  }

  workDone(): number {
    return this.#future('_emwgpuQueueOnSubmittedWorkDone', BigInt(this.queue));
  }

  map(buffer: number, size: number): number {
    return this.#future('_emwgpuBufferMapAsync', BigInt(buffer), 1n, 0n, BigInt(size));
  }

  /** A number if nothing had to be waited for. */
  waitAny(future: number, timeout?: number): number | Promise<number> {
    const ids = this.#layOut([future, 0]);
    const limit = timeout === undefined ? 0 : this.#layOut([timeout]);
    return this.#glue._emwgpuWaitAny(BigInt(ids), 1n, BigInt(limit)) as unknown as number | Promise<number>;
  }
}

/** A dispatch with parameters: the last binding is a slot of the arena, as `ggml_backend_webgpu_build` makes it. */
export const slotOf = (arena: number, slot: number, stride = 256): BindingOfBuffer => ({
  buffer: arena,
  offset: slot * stride,
  size: SLOT_BYTES,
});
