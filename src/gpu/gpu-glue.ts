/**
 * What is called in place of some functions of emscripten's WebGPU glue, for which ggml's backend calls each for every dispatch.
 * Bind groups are resolved when they are set, and found again by what they bind; parameters are kept by content. A method that
 * returns false or 0 did not recognise the call: the published function is called then.
 *
 * All addresses are numbers: wasm's memory has no more than 4 GiB, so 32 bits hold one.
 */
import { BindGroupCache, type CachedGroup } from './bind-group-cache.ts';
import { Fusion, type PendingDispatch } from './fusion.ts';
import { ObjectIds } from './object-ids.ts';
import { ARENA_LABEL, ParameterArena, type Recording } from './parameter-arena.ts';
import { ParameterStore } from './parameter-store.ts';
import { QueueWaits } from './queue-waits.ts';
import { Shaders } from './shaders.ts';
import {
  COPY_DST,
  type GpuBindGroup,
  type GpuBindGroupDescriptor,
  type GpuBindGroupLayout,
  type GpuBuffer,
  type GpuComputePass,
  type GpuComputePipeline,
  type GpuDevice,
  type GpuQueue,
  UNIFORM,
} from './webgpu.ts';
import { hashWords } from './words.ts';

/** The glue's own state and functions that are used here. */
export interface Emscripten {
  /** `WebGPU.Internals.jsObjects`: the browser's objects by the address of wasm's. */
  readonly objects: Record<number, unknown>;
  /** `WebGPU.Internals.futures`: by id, promises of what was not waited for yet. */
  readonly futures: Record<number, Promise<number>>;
  /** Wasm's memory, which may have grown. */
  memory(): Uint32Array;
  newBindGroup(): number;
  newBindGroupLayout(): number;
  /** Tells wasm that a wait for the queue is over. */
  workDone(future: number): void;
}

/** `WGPUBindGroupDescriptor` and `WGPUBindGroupEntry` on wasm64: bytes. */
const DESCRIPTOR = { layout: 24, entryCount: 32, entries: 40 };
const ENTRY = { nextInChain: 0, binding: 8, buffer: 16, offset: 24, size: 32, bytes: 56 };

/** Words of an entry in a key: binding, buffer, offset and size, these two in 64 bits. */
const KEY_WORDS = 6;
/** Entries of a bind group, at most, that are recognised: more than ggml's operations have. */
const MAX_ENTRIES = 16;
const MAX_KEY_WORDS = 1 + MAX_ENTRIES * KEY_WORDS + 32;

interface Device {
  readonly device: GpuDevice;
  readonly groups: BindGroupCache;
  readonly parameters: ParameterStore;
  readonly fusion: Fusion;
}

/** A bind group that was made, and not set yet: only then its parameters are known. */
class UnresolvedGroup {
  readonly key = new Uint32Array(1 + MAX_ENTRIES * KEY_WORDS);
  entries = 0;
  layout: GpuBindGroupLayout = {};
  /** Where the parameters are. */
  arena: ParameterArena | undefined;
  parameterEntry = 0;
  parameterOffset = 0;
  device: Device | undefined;
}

interface Pass {
  readonly recording: Recording;
  /** That was set, and what the browser was told of it. */
  pipeline: GpuComputePipeline | undefined;
  told: GpuComputePipeline | undefined;
  /** The group that was set, where it is one of those that are kept. */
  group: CachedGroup | undefined;
  device: Device | undefined;
  /** In order. The browser hears of them when the pass ends, or is used in a way that is not known here. */
  readonly pending: PendingDispatch[];
}

export class GpuGlue {
  readonly #glue: Emscripten;
  readonly #fuses: boolean;
  readonly #shaders = new Shaders();
  readonly #waits = new QueueWaits();
  /** By address. */
  readonly #devices = new Map<number, Device>();
  readonly #arenas = new Map<number, ParameterArena>();
  readonly #layouts = new Map<number, GpuBindGroupLayout[]>();
  readonly #encoders = new Map<number, Recording>();
  readonly #passes = new Map<number, Pass>();
  readonly #commands = new Map<number, Recording>();
  readonly #layoutIds = new ObjectIds();
  #openRecordings = 0;
  /** To be used again: there is one for each dispatch. */
  readonly #spareGroups: UnresolvedGroup[] = [];
  readonly #key = new Uint32Array(MAX_KEY_WORDS);

  constructor(glue: Emscripten, { fuse = true } = {}) {
    this.#glue = glue;
    this.#fuses = fuse;
  }

  /** What is kept, for tests. */
  get sizes(): Record<string, number> {
    const sum = (count: (device: Device) => number) =>
      [...this.#devices.values()].reduce((total, device) => total + count(device), 0);
    return {
      bindGroups: sum(({ groups }) => groups.size),
      buffers: sum(({ groups }) => groups.buffers),
      parameterPages: sum(({ parameters }) => parameters.pages),
      fusedShaders: sum(({ fusion }) => fusion.pipelines),
      arenas: this.#arenas.size,
      pipelines: this.#layouts.size,
      recordings: this.#encoders.size + this.#passes.size + this.#commands.size,
      spareGroups: this.#spareGroups.length,
    };
  }

  /** Before `wgpuDeviceCreateShaderModule`: pipelines come later. */
  makesShaders(address: number): void {
    if (this.#fuses) this.#shaders.watch(this.#glue.objects[address] as GpuDevice);
  }

  /** After `wgpuDeviceCreateBuffer`. */
  bufferCreated(address: number): void {
    this.#forgetBuffer(address);
    const buffer = this.#glue.objects[address] as GpuBuffer;
    if (buffer.label === ARENA_LABEL && buffer.usage === (UNIFORM | COPY_DST)) {
      this.#arenas.set(address, new ParameterArena(buffer));
    }
  }

  /** Before `wgpuBufferDestroy`. */
  bufferDestroyed(address: number): void {
    this.#forgetBuffer(address);
  }

  /** `wgpuQueueWriteBuffer`: true for parameters, which are on the GPU when commands that use them are submitted. */
  writeBuffer(queue: number, buffer: number, offset: number, data: number, size: number): boolean {
    const arena = this.#arenas.get(buffer);
    if (arena === undefined || arena.ordinary) {
      this.#waits.write(size);
      return false;
    }
    if (data % 4 !== 0 || !arena.isSlot(offset, size)) {
      this.#makeOrdinary(arena, this.#glue.objects[queue] as GpuQueue);
      return false;
    }
    arena.write(offset, this.#glue.memory(), data / 4, size / 4);
    return true;
  }

  /** `wgpuComputePipelineGetBindGroupLayout`. */
  getBindGroupLayout(pipeline: number, index: number): number {
    const { objects, newBindGroupLayout } = this.#glue;
    const layouts = this.#layouts.get(pipeline) ?? [];
    if (layouts.length === 0) this.#layouts.set(pipeline, layouts);
    layouts[index] ??= (objects[pipeline] as GpuComputePipeline).getBindGroupLayout(index);
    const address = newBindGroupLayout();
    objects[address] = layouts[index];
    return address;
  }

  /** `wgpuDeviceCreateBindGroup`: 0 for one that has other things than buffers, or not one slot of parameters. */
  createBindGroup(device: number, descriptor: number): number {
    const { objects, memory, newBindGroup } = this.#glue;
    const words = memory();
    const group = this.#spareGroups.pop() ?? new UnresolvedGroup();
    if (!this.#describe(group, words, descriptor)) {
      this.#spareGroups.push(group);
      this.#materialize(words, descriptor, (objects[device] as GpuDevice).queue);
      return 0;
    }
    group.layout = objects[words[(descriptor + DESCRIPTOR.layout) >>> 2] as number] as GpuBindGroupLayout;
    group.key[0] = this.#layoutIds.of(group.layout);
    group.device = this.#device(device);
    const address = newBindGroup();
    objects[address] = group;
    return address;
  }

  /** Whether it is a bind group as ggml's dispatches have. */
  #describe(group: UnresolvedGroup, words: Uint32Array, descriptor: number): boolean {
    const { key } = group;
    group.entries = words[(descriptor + DESCRIPTOR.entryCount) >>> 2] as number;
    if (group.entries > MAX_ENTRIES) return false;
    group.arena = undefined;
    let entry = (words[(descriptor + DESCRIPTOR.entries) >>> 2] as number) >>> 2;
    let at = 1;
    for (let i = 0; i < group.entries; i++, entry += ENTRY.bytes >>> 2, at += KEY_WORDS) {
      const buffer = words[entry + (ENTRY.buffer >>> 2)] as number;
      const offset = words[entry + (ENTRY.offset >>> 2)] as number;
      const size = words[entry + (ENTRY.size >>> 2)] as number;
      if (words[entry + (ENTRY.nextInChain >>> 2)] || !buffer) return false;
      key[at] = words[entry + (ENTRY.binding >>> 2)] as number;
      key[at + 1] = buffer;
      key[at + 2] = offset;
      key[at + 3] = words[entry + (ENTRY.offset >>> 2) + 1] as number;
      key[at + 4] = size;
      key[at + 5] = words[entry + (ENTRY.size >>> 2) + 1] as number;
      const arena = this.#arenas.get(buffer);
      if (arena === undefined) continue;
      if (arena.ordinary || group.arena || !arena.isSlot(offset, size)) return false;
      group.arena = arena;
      group.parameterEntry = i;
      group.parameterOffset = offset;
      // Which slot the parameters were in makes no difference.
      key[at + 1] = 0;
      key[at + 2] = 0;
    }
    return group.arena !== undefined;
  }

  /** A bind group that is made as published needs the arena's content on the GPU. */
  #materialize(words: Uint32Array, descriptor: number, queue: GpuQueue): void {
    const count = words[(descriptor + DESCRIPTOR.entryCount) >>> 2] as number;
    const first = words[(descriptor + DESCRIPTOR.entries) >>> 2] as number;
    for (let i = 0; i < count; i++) {
      const arena = this.#arenas.get(words[(first + i * ENTRY.bytes + ENTRY.buffer) >>> 2] as number);
      if (arena && !arena.ordinary) this.#makeOrdinary(arena, queue);
    }
  }

  /** `wgpuComputePassEncoderSetBindGroup`. */
  setBindGroup(address: number, index: number, groupAddress: number): boolean {
    const group = this.#glue.objects[groupAddress];
    const pass = this.#passes.get(address);
    if (!(group instanceof UnresolvedGroup)) {
      if (pass) this.#tellAll(address, pass);
      return false;
    }
    const resolved = this.#resolve(group, pass?.recording);
    if (pass && index === 0 && 'key' in resolved) {
      pass.group = resolved;
      pass.device = group.device;
      return true;
    }
    if (pass) this.#tellAll(address, pass);
    const { objects } = this.#glue;
    (objects[address] as GpuComputePass).setBindGroup(index, 'key' in resolved ? resolved.group : resolved);
    return true;
  }

  /** `wgpuComputePassEncoderSetPipeline`. */
  setPipeline(address: number, pipelineAddress: number): void {
    const { objects } = this.#glue;
    const pipeline = objects[pipelineAddress] as GpuComputePipeline;
    const pass = this.#passes.get(address);
    if (pass) pass.pipeline = pipeline;
    else (objects[address] as GpuComputePass).setPipeline(pipeline);
  }

  /** `wgpuComputePassEncoderDispatchWorkgroups`. */
  dispatch(address: number, x: number, y: number, z: number): void {
    const pass = this.#passes.get(address);
    if (pass?.pipeline && pass.group && y === 1 && z === 1) {
      pass.pending.push({ pipeline: pass.pipeline, group: pass.group, workgroups: x });
      return;
    }
    if (pass) {
      const { group } = pass;
      this.#tellAll(address, pass);
      pass.group = group;
    }
    (this.#glue.objects[address] as GpuComputePass).dispatchWorkgroups(x, y, z);
  }

  /** Before `wgpuComputePassEncoderEnd`. */
  passEnds(address: number): void {
    const pass = this.#passes.get(address);
    if (pass) this.#tellDispatches(address, pass);
  }

  /** The browser hears of the dispatches so far, and of what was set for the next one. */
  #tellAll(address: number, pass: Pass): void {
    this.#tellDispatches(address, pass);
    const browsers = this.#glue.objects[address] as GpuComputePass;
    if (pass.pipeline) this.#tellPipeline(browsers, pass, pass.pipeline);
    if (pass.group) browsers.setBindGroup(0, pass.group.group);
    pass.group = undefined;
  }

  #tellDispatches(address: number, pass: Pass): void {
    const { pending, device } = pass;
    const browsers = this.#glue.objects[address] as GpuComputePass;
    for (let i = 0; i < pending.length; ) {
      const { pipeline, group, workgroups } = pending[i] as PendingDispatch;
      const fused = this.#fuses ? device?.fusion.at(pending, i) : undefined;
      this.#tellPipeline(browsers, pass, fused?.pipeline ?? pipeline);
      browsers.setBindGroup(0, fused?.group ?? group.group);
      browsers.dispatchWorkgroups(fused?.workgroups ?? workgroups, 1, 1);
      i += fused?.parts ?? 1;
    }
    pending.length = 0;
  }

  #tellPipeline(browsers: GpuComputePass, pass: Pass, pipeline: GpuComputePipeline): void {
    if (pass.told === pipeline) return;
    pass.told = pipeline;
    browsers.setPipeline(pipeline);
  }

  /** After `wgpuCommandEncoderBeginComputePass`. */
  passBegun(encoder: number, pass: number): void {
    let recording = this.#encoders.get(encoder);
    if (recording === undefined) {
      recording = { open: true };
      this.#openRecordings++;
      this.#encoders.set(encoder, recording);
    }
    this.#passes.set(pass, {
      recording,
      pipeline: undefined,
      told: undefined,
      group: undefined,
      device: undefined,
      pending: [],
    });
  }

  /** After `wgpuCommandEncoderFinish`. */
  finished(encoder: number, commands: number): void {
    const recording = this.#encoders.get(encoder);
    if (recording === undefined) return;
    this.#encoders.delete(encoder);
    this.#commands.set(commands, recording);
  }

  /** Before `wgpuQueueSubmit`: what the commands read is written now. */
  beforeSubmit(): void {
    for (const { parameters } of this.#devices.values()) parameters.flush();
  }

  /** After it. @param addresses Where the command buffers' addresses are: each in 64 bits. */
  submitted(addresses: number, count: number): void {
    this.#waits.submit();
    const words = this.#glue.memory();
    for (let i = 0; i < count; i++) this.#close(this.#commands, words[(addresses >>> 2) + 2 * i] as number);
  }

  /** `wgpuQueueOnSubmittedWorkDone`: true if it is answered already. */
  onSubmittedWorkDone(future: number): boolean {
    if (!this.#waits.leaveOut()) return false;
    this.#glue.workDone(future);
    return true;
  }

  /** After a real `wgpuQueueOnSubmittedWorkDone`, or `wgpuBufferMapAsync`. */
  waitBegun(future: number): void {
    const end = this.#waits.begin();
    this.#glue.futures[future]?.then(end);
  }

  /**
   * `emwgpuWaitAny`, without a timer that outlives the wait.
   *
   * @param futures Where their ids are, each in 64 bits.
   * @param timeout Where the milliseconds are; 0 for no limit.
   * @returns the id of a future that is over, or 0 after the time. A number, and no promise, where there is nothing to wait
   *   for: wasm is then not suspended.
   */
  waitAny(futures: number, count: number, timeout: number): number | Promise<number> {
    const words = this.#glue.memory();
    const pending = this.#glue.futures;
    const waiting: Promise<number>[] = [];
    for (let i = 0; i < count; i++) {
      const at = (futures >>> 2) + 2 * i;
      const id = (words[at] as number) + (words[at + 1] as number) * 2 ** 32;
      const future = pending[id];
      if (future === undefined) return id;
      waiting.push(future);
    }
    // Work that an earlier wait would have waited for has its own time.
    const milliseconds = timeout === 0 ? undefined : (words[timeout >>> 2] as number) * this.#waits.depth;
    // From the next graph on they are used: what is computed does not depend on how fast a browser compiles.
    const compiling = [...this.#devices.values()].flatMap(({ fusion }) => fusion.compiling ?? []);
    const race = () => this.#race(waiting, milliseconds);
    return compiling.length > 0 ? Promise.all(compiling).then(race) : race();
  }

  async #race(waiting: Promise<number>[], milliseconds: number | undefined): Promise<number> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (milliseconds !== undefined) {
      waiting.push(
        new Promise((resolve) => {
          timer = setTimeout(resolve, milliseconds, 0);
        }),
      );
    }
    const first = await Promise.race(waiting);
    clearTimeout(timer);
    delete this.#glue.futures[first];
    return first;
  }

  /** After `wgpuDeviceDestroy`. */
  deviceDestroyed(address: number): void {
    this.#devices.get(address)?.groups.clear();
    this.#devices.delete(address);
  }

  /** Before `emwgpuDelete`: the address will be another object's. */
  deleted(address: number): void {
    const object = this.#glue.objects[address];
    if (object instanceof UnresolvedGroup) {
      this.#spareGroups.push(object);
      return;
    }
    this.#layouts.delete(address);
    this.#passes.delete(address);
    this.#close(this.#encoders, address);
    this.#close(this.#commands, address);
    this.#forgetBuffer(address);
    this.deviceDestroyed(address);
  }

  /** @returns a group of the browser's where it can't be kept */
  #resolve(group: UnresolvedGroup, recording: Recording | undefined): CachedGroup | GpuBindGroup {
    const { arena, device, parameterEntry, parameterOffset } = group;
    if (arena === undefined || device === undefined) throw new Error('a bind group without parameters was kept');
    if (arena.ordinary) {
      return device.device.createBindGroup(this.#descriptor(group, arena.buffer, parameterOffset));
    }

    const key = this.#key;
    const words = arena.read(parameterOffset, recording);
    const entryWords = 1 + group.entries * KEY_WORDS;
    const length = entryWords + words.length;
    key.set(group.key.subarray(0, entryWords));
    key.set(words, entryWords);
    const hash = hashWords(key, length);
    const found = device.groups.find(key, length, hash);
    if (found) return found;

    const parameters = device.parameters.acquire(words);
    const descriptor = this.#descriptor(group, parameters.page.buffer, parameters.offset);
    const buffers = new Set<number>();
    for (let i = 0; i < group.entries; i++) {
      if (i !== parameterEntry) buffers.add(key[1 + i * KEY_WORDS + 1] as number);
    }
    const { entries } = descriptor;
    return device.groups.add({
      group: device.device.createBindGroup(descriptor),
      entries,
      parameterBinding: (entries[parameterEntry] as (typeof entries)[number]).resource,
      key: key.slice(0, length),
      hash,
      buffers: [...buffers],
      parameters,
    });
  }

  #descriptor(
    { key, entries, layout, parameterEntry }: UnresolvedGroup,
    parameterBuffer: GpuBuffer,
    parameterOffset: number,
  ): GpuBindGroupDescriptor {
    const { objects } = this.#glue;
    return {
      layout,
      entries: Array.from({ length: entries }, (_, i) => {
        const [binding = 0, buffer = 0, offset = 0, offsetHigh = 0, size = 0, sizeHigh = 0] = key.subarray(
          1 + i * KEY_WORDS,
        );
        // All ones: `WGPU_WHOLE_SIZE`.
        const whole = size === 0xffffffff && sizeHigh === 0xffffffff;
        const bytes = whole ? undefined : size + sizeHigh * 2 ** 32;
        return {
          binding,
          resource:
            i === parameterEntry
              ? { buffer: parameterBuffer, offset: parameterOffset, size: bytes }
              : { buffer: objects[buffer] as GpuBuffer, offset: offset + offsetHigh * 2 ** 32, size: bytes },
        };
      }),
    };
  }

  #device(address: number): Device {
    const known = this.#devices.get(address);
    if (known) return known;
    const device = this.#glue.objects[address] as GpuDevice;
    const parameters = new ParameterStore(device);
    const fusion = new Fusion(device, parameters, this.#shaders);
    const groups = new BindGroupCache((group) => {
      fusion.forget(group);
      parameters.release(group.parameters);
    });
    const made = { device, groups, parameters, fusion };
    this.#devices.set(address, made);
    // What it made is of no use; ggml hears of the loss when it reads something back.
    device.lost.then(() => groups.clear());
    return made;
  }

  /** What the GPU would have had all along, it gets now. */
  #makeOrdinary(arena: ParameterArena, queue: GpuQueue): void {
    arena.ordinary = true;
    queue.writeBuffer(arena.buffer, 0, arena.bytes);
  }

  /** Commands are submitted, or never will be. */
  #close(recordings: Map<number, Recording>, address: number): void {
    const recording = recordings.get(address);
    if (recording === undefined) return;
    recordings.delete(address);
    recording.open = false;
    if (--this.#openRecordings > 0) return;
    for (const { parameters } of this.#devices.values()) parameters.reclaim();
  }

  #forgetBuffer(address: number): void {
    this.#arenas.delete(address);
    for (const { groups } of this.#devices.values()) groups.dropBuffer(address);
  }
}
