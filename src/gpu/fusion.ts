/**
 * Dispatches that follow one another, given to the GPU as one. A dispatch costs a browser about as much as the arithmetic of a
 * small one; a layer of a decoded token is 19 of them, of which 7 are saved.
 */
import type { CachedGroup } from './bind-group-cache.ts';
import { type Fusing, fuseShaders, MAX_PARTS, type ShaderPart, storageBindings } from './fused-shader.ts';
import { ObjectIds } from './object-ids.ts';
import type { ParameterSlot, ParameterStore } from './parameter-store.ts';
import type { Shaders } from './shaders.ts';
import type { GpuBindGroup, GpuBufferBinding, GpuComputePipeline, GpuDevice } from './webgpu.ts';
import type { Shader } from './wgsl.ts';

/** A dispatch that was recorded, and not given to the browser yet. */
export interface PendingDispatch {
  readonly pipeline: GpuComputePipeline;
  readonly group: CachedGroup;
  readonly workgroups: number;
}

/** Pending dispatches that were looked at together: what became of them is the same when they come again. */
export interface Fused {
  readonly parts: readonly PendingDispatch[];
  /** Undefined where they are not to be fused. */
  readonly shader: FusedPipeline | undefined;
  readonly bindings: readonly GpuBufferBinding[];
  readonly workgroups: number;
  /** Made when the shader is there. */
  group: GpuBindGroup | undefined;
  counts: ParameterSlot | undefined;
}

interface FusedPipeline {
  /** Undefined while it is compiled, and where the browser refuses it. */
  pipeline: GpuComputePipeline | undefined;
}

/** A dispatch that is ready to be given to the browser in place of `parts`. */
export interface FusedDispatch {
  readonly parts: number;
  readonly pipeline: GpuComputePipeline;
  readonly group: GpuBindGroup;
  readonly workgroups: number;
}

/**
 * Operations of which a single workgroup runs all the workgroups, one after another, by the beginning of ggml's name for them:
 * so many at most. One that has more is worth a dispatch of its own.
 */
const IN_TURN: readonly [name: string, workgroups: number][] = [
  ['ADD_', 4],
  ['MUL_', 4],
  ['rope_', 4],
  ['set_rows_', 4],
  ['RMS_NORM', 1],
];
const BESIDE = 'mul_mat_vec_';
/** Instead of a number of workgroups. */
const BESIDE_OTHERS = -1;
/** What is remembered of two bind groups that follow one another, and of those after them. */
const MAX_FUSED_OF_PAIR = 8;

interface Combination {
  fusing: Fusing;
  parts: ShaderPart[];
  bindings: GpuBufferBinding[];
}

export class Fusion {
  readonly #device: GpuDevice;
  readonly #parameters: ParameterStore;
  readonly #shaders: Shaders;
  readonly #pipelines = new Map<string, FusedPipeline>();
  readonly #limits = new WeakMap<GpuComputePipeline, number>();
  readonly #pipelineIds = new ObjectIds();
  /** By the bind groups of the first two parts: layers have many of theirs in common. */
  readonly #fused = new WeakMap<CachedGroup, Map<CachedGroup, Fused[]>>();
  /** By every part's. */
  readonly #users = new WeakMap<CachedGroup, Set<Fused>>();
  readonly #compiling = new Set<Promise<void>>();

  constructor(device: GpuDevice, parameters: ParameterStore, shaders: Shaders) {
    this.#device = device;
    this.#parameters = parameters;
    this.#shaders = shaders;
  }

  /** Shaders that were put together. */
  get pipelines(): number {
    return this.#pipelines.size;
  }

  /** Resolves when all shaders are compiled that were asked for; undefined if they are. */
  get compiling(): Promise<unknown> | undefined {
    return this.#compiling.size > 0 ? Promise.all(this.#compiling) : undefined;
  }

  /** What the dispatches from an index on are to be given to the browser as; undefined: the first one, as it is. */
  at(pending: readonly PendingDispatch[], index: number): FusedDispatch | undefined {
    const [first, second] = [pending[index] as PendingDispatch, pending[index + 1]];
    // The last one before commands end may be followed by another next time.
    if (second === undefined || this.#fusing([first, second]) === undefined) return undefined;
    const known = this.#fused.get(first.group)?.get(second.group);
    const fused = known?.find(({ parts }) => begins(pending, index, parts)) ?? this.#look(pending, index);
    if (fused?.shader?.pipeline === undefined) return undefined;
    const { pipeline } = fused.shader;
    fused.group ??= this.#bind(fused, pipeline);
    return { parts: fused.parts.length, pipeline, group: fused.group, workgroups: fused.workgroups };
  }

  /** A bind group is not kept any more, so that nothing that has it as a part comes again. */
  forget(group: CachedGroup): void {
    for (const fused of this.#users.get(group) ?? []) {
      for (const { group: part } of fused.parts) this.#users.get(part)?.delete(fused);
      const [first, second] = fused.parts as [PendingDispatch, PendingDispatch];
      const pairs = this.#fused.get(first.group);
      const others = pairs?.get(second.group)?.filter((other) => other !== fused) ?? [];
      if (others.length > 0) pairs?.set(second.group, others);
      else pairs?.delete(second.group);
      if (fused.counts) this.#parameters.release(fused.counts);
    }
  }

  #look(pending: readonly PendingDispatch[], index: number): Fused | undefined {
    const [first, second] = pending.slice(index) as [PendingDispatch, PendingDispatch];
    const pairs = this.#fused.get(first.group) ?? new Map<CachedGroup, Fused[]>();
    const known = pairs.get(second.group) ?? [];
    if (known.length >= MAX_FUSED_OF_PAIR) return undefined;
    let length = 1;
    let combination: Combination | undefined;
    // What is recorded may have more bind groups than are kept.
    while (length < MAX_PARTS && pending[index + length]?.group.isKept && first.group.isKept) {
      const longer = this.#combine(pending.slice(index, index + length + 1));
      if (longer === undefined) break;
      combination = longer;
      length++;
    }
    if (!first.group.isKept || !second.group.isKept) return undefined;
    // Two that don't fit are remembered as well.
    const parts = pending.slice(index, index + Math.max(length, 2));
    const fused: Fused = {
      parts,
      shader: combination && this.#pipeline(combination, parts),
      bindings: combination?.bindings ?? [],
      workgroups: combination?.fusing === 'beside' ? parts.reduce((sum, { workgroups }) => sum + workgroups, 0) : 1,
      group: undefined,
      counts: undefined,
    };
    this.#fused.set(first.group, pairs.set(second.group, [...known, fused]));
    for (const { group } of parts) {
      const users = this.#users.get(group);
      if (users) users.add(fused);
      else this.#users.set(group, new Set([fused]));
    }
    return fused;
  }

  #combine(dispatches: readonly PendingDispatch[]): Combination | undefined {
    const fusing = this.#fusing(dispatches);
    if (fusing === undefined) return undefined;
    const ranges: Range[] = [];
    const parts: ShaderPart[] = [];
    for (const { pipeline, group } of dispatches) {
      const shader = this.#shaders.of(pipeline);
      if (shader === undefined || shader.size !== (parts[0]?.shader.size ?? shader.size)) return undefined;
      if (!shader.bindings.every(({ space }) => space === 'uniform' || space === 'storage,read_write'))
        return undefined;
      // Workgroup memory begins as zeros: two parts, of which each expects that, have theirs only if one of them runs.
      if (fusing === 'in turn' && shader.hasWorkgroupMemory && parts.some((part) => part.shader.hasWorkgroupMemory))
        return undefined;
      const storage = place(shader, group, ranges, fusing);
      if (storage === undefined) return undefined;
      parts.push({ shader, storage });
    }
    const { maxStorageBuffersPerShaderStage, maxUniformBuffersPerShaderStage } = this.#device.limits;
    if (ranges.length > maxStorageBuffersPerShaderStage || parts.length + 1 > maxUniformBuffersPerShaderStage)
      return undefined;
    const parameters = dispatches.map(({ group }) => group.parameterBinding);
    return { fusing, parts, bindings: [...ranges.map(({ resource }) => resource), ...parameters] };
  }

  #fusing(dispatches: readonly PendingDispatch[]): Fusing | undefined {
    const [first] = dispatches as [PendingDispatch];
    if (this.#workgroups(first.pipeline) === BESIDE_OTHERS) {
      if (!dispatches.every(({ pipeline }) => pipeline === first.pipeline)) return undefined;
      const workgroups = dispatches.reduce((sum, dispatch) => sum + dispatch.workgroups, 0);
      return workgroups <= this.#device.limits.maxComputeWorkgroupsPerDimension ? 'beside' : undefined;
    }
    const isShort = ({ pipeline, workgroups }: PendingDispatch) => workgroups <= this.#workgroups(pipeline);
    return dispatches.every(isShort) ? 'in turn' : undefined;
  }

  /** How many workgroups the operation may have to be run in turn. */
  #workgroups(pipeline: GpuComputePipeline): number {
    const known = this.#limits.get(pipeline);
    if (known !== undefined) return known;
    const label = this.#shaders.label(pipeline);
    const [, inTurn = 0] = IN_TURN.find(([name]) => label.startsWith(name)) ?? [];
    const limit = label.startsWith(BESIDE) ? BESIDE_OTHERS : inTurn;
    this.#limits.set(pipeline, limit);
    return limit;
  }

  #pipeline({ fusing, parts }: Combination, dispatches: readonly PendingDispatch[]): FusedPipeline | undefined {
    const ids = dispatches.map(({ pipeline }) => this.#pipelineIds.of(pipeline));
    const key = `${fusing} ${ids} ${parts.map(({ storage }) => storage).join(' ')}`;
    const known = this.#pipelines.get(key);
    if (known) return known;
    const code = fuseShaders(fusing, parts);
    if (code === undefined) return undefined;
    const made: FusedPipeline = { pipeline: undefined };
    this.#pipelines.set(key, made);
    const compiled = this.#compile(parts.map(({ shader }) => shader.label).join(' + '), code).then((pipeline) => {
      made.pipeline = pipeline;
      this.#compiling.delete(compiled);
    });
    this.#compiling.add(compiled);
    return made;
  }

  /** @returns undefined where the browser refuses it: the parts are then dispatched as before */
  async #compile(label: string, code: string): Promise<GpuComputePipeline | undefined> {
    const device = this.#device;
    // ggml ends at an error that nobody else hears of.
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label, code });
    const fault = device.popErrorScope();
    try {
      const pipeline = await device.createComputePipelineAsync({ label, layout: 'auto', compute: { module } });
      return (await fault) === null ? pipeline : undefined;
    } catch {
      return undefined;
    }
  }

  #bind(fused: Fused, pipeline: GpuComputePipeline): GpuBindGroup {
    const counts = new Uint32Array(MAX_PARTS);
    fused.parts.forEach(({ workgroups }, i) => {
      counts[i] = workgroups;
    });
    const slot = this.#parameters.acquire(counts);
    fused.counts = slot;
    const bindings = [...fused.bindings, { buffer: slot.page.buffer, offset: slot.offset, size: counts.byteLength }];
    return this.#device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: bindings.map((resource, binding) => ({ binding, resource })),
    });
  }
}

interface Range {
  resource: GpuBufferBinding;
  /** By all parts, so far. */
  isRead: boolean;
}

/**
 * Finds the place of each of a part's ranges among those of the parts before it.
 *
 * @param ranges Gets those that are new.
 * @returns undefined where ranges overlap without being the same one, which WebGPU refuses; or where parts that run beside one
 *   another touch what one of them writes
 */
function place(shader: Shader, group: CachedGroup, ranges: Range[], fusing: Fusing): number[] | undefined {
  const earlier = ranges.length;
  const storage: number[] = [];
  for (const { binding, isRead } of storageBindings(shader)) {
    const resource = group.entries.find((entry) => entry.binding === binding)?.resource;
    if (resource?.size === undefined) return undefined;
    const overlapping = ranges.findIndex((range) => overlap(range.resource, resource));
    const known = ranges[overlapping];
    if (known === undefined) {
      storage.push(ranges.length);
      ranges.push({ resource, isRead });
      continue;
    }
    if (known.resource.offset !== resource.offset || known.resource.size !== resource.size) return undefined;
    // It may overlap another one as well.
    if (ranges.filter((range) => overlap(range.resource, resource)).length > 1) return undefined;
    if (fusing === 'beside' && overlapping < earlier && !(known.isRead && isRead)) return undefined;
    known.isRead &&= isRead;
    storage.push(overlapping);
  }
  return storage;
}

function overlap(a: GpuBufferBinding, b: GpuBufferBinding): boolean {
  if (a.buffer !== b.buffer) return false;
  return a.offset < b.offset + (b.size as number) && b.offset < a.offset + (a.size as number);
}

function begins(pending: readonly PendingDispatch[], index: number, parts: readonly PendingDispatch[]): boolean {
  if (index + parts.length > pending.length) return false;
  for (let i = 0; i < parts.length; i++) {
    const [part, dispatch] = [parts[i] as PendingDispatch, pending[index + i] as PendingDispatch];
    if (part.group !== dispatch.group || part.pipeline !== dispatch.pipeline || part.workgroups !== dispatch.workgroups)
      return false;
  }
  return true;
}
