/**
 * The engine that plans: chooses how a model is run on this device, falls back where that fails, and learns from what it sees.
 * How a model is loaded with a given plan is not its business (`wllama-engine.ts`).
 */
import { anySignal } from '../abortable.ts';
import { LlamatabError } from '../errors.ts';
import { readGgufHeader } from '../gguf/header.ts';
import { readTokenizer } from '../tokenizer/make-tokenizer.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { CrashRecovery } from './crash-recovery.ts';
import { deviceKey, type Hardware, thisDevice } from './device.ts';
import { DeviceMemory } from './device-memory.ts';
import {
  candidatesFor,
  type Device,
  defined,
  type GpuTrouble,
  type ModelFacts,
  memoryOf,
  planFor,
  type WasmUrls,
} from './device-plan.ts';
import {
  type DevicePlan,
  type Engine,
  EngineLost,
  type EngineModel,
  type EngineOptions,
  type Json,
  type LoadedModel,
  type PlanChoice,
} from './engine.ts';
import { LOSSES, troubleOfLoad, troubleOfLosses, troubleOfResult } from './gpu-trouble.ts';
import { measureRates } from './measure-rates.ts';
import { modelFacts } from './model-facts.ts';
import { refuseTooLong } from './prompt-length.ts';
import { type SchemaWay, schemaWay } from './schema-way.ts';
import { difference, takeReference } from './self-test.ts';
import { showsTools } from './shown-tools.ts';
import { estimateRates, NO_CORRECTIONS } from './speed-model.ts';
import { Tuner } from './tuner.ts';
import type { Tunable, Tuning } from './tuning.ts';
import { browserStore, type TuningStore, withMemory } from './tuning-record.ts';

/** A model that is loaded with a plan, before anything is known of its speed. */
export type Instance = Omit<LoadedModel, 'tuning' | 'tokenizer' | 'showsTools' | 'schemaWay'>;

/**
 * Loads a model with this plan and no other.
 * @param pooling whether the model's header says how it pools.
 * @throws LlamatabError with llama.cpp's reason.
 */
export type LoadInstance = (
  model: EngineModel,
  pooling: boolean,
  plan: DevicePlan,
  patience: Patience,
  signal?: AbortSignal,
) => Promise<Instance>;

/** Seconds after which an engine that does not answer is taken for dead. A slow device is not. */
export interface Patience {
  /** For one step, or whatever else is done in one go. */
  step: number;
  load: number;
}

/** What of the surroundings tests replace. */
interface Surroundings {
  device?: () => Promise<Hardware>;
  store?: TuningStore;
}

const MEASURED: (keyof PlanChoice)[] = ['variant', 'threads', 'kvCacheType', 'flashAttention', 'gpuLayers'];

/**
 * Bytes of a model, at most, that is loaded a second time to be measured: 1 to 3 seconds, and memory that a device has to
 * spare. Of the device's own memory no more than this share: two instances are then an eighth, and the tab is not killed.
 */
const MAX_MEASURED_SIZE = 256 * 1024 * 1024;
const MEASURED_SHARE = 1 / 16;

/** Bytes of a model, at most, that is loaded on the CPU to know what it computes: wasm's memory ends at 4 GiB. */
const MAX_REFERENCE_SIZE = 3 * 1024 ** 3;

/** Milliseconds for loading and timing a candidate. One that takes longer is too slow, or its threads wait for busy cores. */
const MEASURING_TIMEOUT = 20_000;

/** Tokens: the prompt and what is generated, with room for tokenizers that know only bytes. */
const MEASURING_CONTEXT = 512;

/**
 * Times that a step may take longer than expected. What is expected is right within a factor of two; beside it, other programs may
 * take the cores, and long contexts slow a step down.
 */
const STEP_SLACK = 30;
/** Seconds of a step that are nobody's fault: shaders are compiled, a machine swaps. */
const STEP_BASE = 60;
/** Of a step that reads a picture or a sound, which no estimate knows of. */
const STEP_WITH_MEDIA = 600;
/** Of a load: and as long as a slow disk takes for the file. */
const LOAD_BASE = 180;
const SLOWEST_DISK = 2 * 1024 * 1024;

/** Loads of one model that may end in a crash, one after the other. */
const MAX_CRASHES = 5;

/** @param build names the engine: what is remembered of speeds holds for it alone. */
export function createPlannedEngine(
  loadInstance: LoadInstance,
  urls: WasmUrls,
  build: string,
  options: EngineOptions = {},
  { device = thisDevice, store: lasting = browserStore() }: Surroundings = {},
): Engine {
  const store = withMemory(lasting);
  const { measure, selfTest = true, idleBeforeMeasuring, hangAfter, ...fixed } = options;
  const overrides = defined(fixed);
  const tuner = new Tuner({ measure, idle: idleBeforeMeasuring }, store);
  /** Times that the GPU was lost under a model, by its key. */
  const losses = new Map<string, number>();
  /** What happened to models on the CPU, likewise. */
  const recoveries = new Map<string, CrashRecovery>();
  let opened: Promise<{ hardware: Hardware; memory: DeviceMemory }> | undefined;

  /** Nothing is known where nothing is to be measured: a model then runs in the same way on each visit. */
  const known = ({ corrections }: DeviceMemory) => (measure === false ? NO_CORRECTIONS : corrections);

  /** Once: what is learnt while the page lives must be seen by the next load. */
  function openDevice() {
    opened ??= (async () => {
      const hardware = await device();
      return { hardware, memory: await DeviceMemory.open(store, `${deviceKey(hardware)} ${build}`) };
    })();
    return opened;
  }

  // The adapter may take a moment to be found: meanwhile a model is downloaded, or the page does other things.
  openDevice().catch(() => {});

  async function tunableOf(model: EngineModel) {
    const facts = modelFacts(model, await readGgufHeader(firstFile(model)));
    const { hardware, memory } = await openDevice();
    const thatDevice = (): Device => ({ ...hardware, corrections: known(memory) });
    const withTrouble = (gpuTrouble: GpuTrouble | null): ModelFacts => ({ ...facts, gpuTrouble });
    const load = (plan: DevicePlan, signal?: AbortSignal) =>
      loadInstance(model, facts.pooling, plan, patienceWith(plan), signal);
    const { gpu } = hardware;
    const estimate = (plan: DevicePlan) =>
      estimateRates(facts.work, plan, gpu.state === 'usable' ? gpu.speed : null, known(memory));

    const patienceWith = (plan: DevicePlan): Patience => {
      const { prompt_per_second, predicted_per_second } = estimate(plan);
      const step = plan.batchSize / prompt_per_second + (predicted_per_second ? plan.slots / predicted_per_second : 0);
      return {
        step: hangAfter ?? Math.max(STEP_BASE + step * STEP_SLACK, facts.media ? STEP_WITH_MEDIA : 0),
        load: LOAD_BASE + facts.size / SLOWEST_DISK,
      };
    };

    const tunable: Tunable = {
      key: JSON.stringify([model.id, facts.kind, facts.size, build, deviceKey(hardware)]),
      measurable: fitsTwice(facts, hardware),
      fixed: MEASURED.some((part) => part in overrides),
      plan: (choice, trouble) => planFor(withTrouble(trouble), thatDevice(), urls, { ...choice, ...overrides }),
      candidates: (current, trouble) => candidatesFor(withTrouble(trouble), thatDevice(), urls, overrides, current),
      estimate,
      learn(plan, measured) {
        // What is shared between the two tells of neither.
        const wholly = plan.gpuLayers === 0 || plan.gpuLayers > facts.layers.blocks.length;
        if (wholly) memory.learn(plan.gpuLayers > 0 ? 'gpu' : 'cpu', estimate(plan), measured);
      },
      measure: (plan, signal) => measureInstance(load, plan, model.kind, signal),
    };
    return { tunable, facts, load, memory };
  }

  function recoveryOf(key: string): CrashRecovery {
    const recovery = recoveries.get(key) ?? new CrashRecovery();
    recoveries.set(key, recovery);
    return recovery;
  }

  /** Once, the model is loaded on the GPU again; after that it is not the GPU's day. */
  function onLost(key: string, { info }: Instance, tuning: Tuning, reason: LlamatabError): void {
    // Unloading it is no accident.
    if (!(reason instanceof EngineLost)) return;
    if (info.gpu === null) {
      recoveryOf(key).failed(info.plan, reason);
      return;
    }
    const times = (losses.get(key) ?? 0) + 1;
    losses.set(key, times % LOSSES);
    if (times === LOSSES) void tuning.avoidGpu(troubleOfLosses(reason.message));
  }

  return {
    async load(model, signal) {
      const use = tuner.use();
      try {
        signal?.throwIfAborted();
        const { tunable, facts, load, memory } = await tunableOf(model);
        const reference = async () =>
          selfTest ? memory.reference(tunable.key, () => referenceOnCpu(load, tunable, facts, signal)) : null;
        const recovery = recoveryOf(tunable.key);
        let tuning = await tuner.open(tunable);
        let crashes = 0;
        for (;;) {
          const plan = recovery.plan(tuning.plan);
          try {
            const instance = await loadVerified(load, plan, model.kind, reference, signal);
            instance.lost.then((reason) => onLost(tunable.key, instance, tuning, reason));
            return tuned(instance, tuner, tuning, onceRead(firstFile(model), model.id));
          } catch (error) {
            if (signal?.aborted) throw error;
            if (plan.gpuLayers > 0) tuning = await tuning.avoidGpu(troubleOf(error, plan));
            else if (tuning.differs) tuning = await tuning.reset();
            else {
              const smaller = recovery.failed(plan, error);
              // A crash may be an accident; a lack of memory ends when nothing is left to take away.
              const again = error instanceof EngineLost ? ++crashes < MAX_CRASHES : smaller;
              // Not an `EngineLost` to whoever waits for it: it is not to be asked for once more.
              if (!again) throw error instanceof EngineLost ? new LlamatabError('server_error', error.message) : error;
            }
          }
        }
      } finally {
        use.end();
      }
    },
    async memory(model) {
      const { tunable, facts } = await tunableOf(model);
      return memoryOf(facts, recoveryOf(tunable.key).plan(tunable.plan({}, null)));
    },
  };
}

function troubleOf(error: unknown, { gpuLayers }: DevicePlan): GpuTrouble {
  if (error instanceof WrongResult) return troubleOfResult(error.message);
  return troubleOfLoad(gpuLayers, error instanceof Error ? error.message : String(error));
}

/** The GPU computed something else than the CPU. */
class WrongResult extends Error {}

/** Loads the model; on a GPU, not before it has shown that it computes there what it computes on the CPU. */
async function loadVerified(
  load: (plan: DevicePlan, signal?: AbortSignal) => Promise<Instance>,
  plan: DevicePlan,
  kind: EngineModel['kind'],
  reference: () => ReturnType<typeof takeReference>,
  signal?: AbortSignal,
): Promise<Instance> {
  // Before, not beside: a large model fits the memory once.
  const expected = plan.gpuLayers === 0 ? null : await reference();
  const instance = await load(plan, signal);
  if (plan.gpuLayers === 0) return instance;
  try {
    if (instance.info.gpu === null) throw new Error('llama.cpp found no GPU that it can use');
    if (expected === null) return instance;
    const wrong = difference(expected, await takeReference(instance, kind, signal));
    if (wrong !== null) throw new WrongResult(wrong);
    return instance;
  } catch (error) {
    instance.unload();
    throw error;
  }
}

/** Null for a model that the CPU can't tell of: too large for wasm's memory, say, of which a GPU needs little. */
async function referenceOnCpu(
  load: (plan: DevicePlan, signal?: AbortSignal) => Promise<Instance>,
  tunable: Tunable,
  { kind, size }: ModelFacts,
  signal?: AbortSignal,
) {
  if (size > MAX_REFERENCE_SIZE) return null;
  const plan = measuringPlan({ ...tunable.plan({ gpuLayers: 0 }, null), gpuLayers: 0 });
  const instance = await load(plan, signal).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    return null;
  });
  if (instance === null) return null;
  try {
    return await takeReference(instance, kind, signal);
  } finally {
    instance.unload();
  }
}

async function measureInstance(
  load: (plan: DevicePlan, signal?: AbortSignal) => Promise<Instance>,
  plan: DevicePlan,
  kind: EngineModel['kind'],
  signal: AbortSignal,
) {
  const limited = anySignal(signal, AbortSignal.timeout(MEASURING_TIMEOUT));
  const instance = await load(measuringPlan(plan), limited);
  // Not after the step that it computes: whoever comes needs the cores.
  limited.addEventListener('abort', instance.unload);
  try {
    limited.throwIfAborted();
    return await measureRates(instance, kind, limited);
  } finally {
    instance.unload();
  }
}

function firstFile({ id, files: [first] }: EngineModel): Blob {
  if (first === undefined) throw new LlamatabError('server_error', `The model ${id} has no files.`);
  return first;
}

/** Reads the tokenizer when it is first asked for, and again only if that failed. */
function onceRead(file: Blob, name: string): LoadedModel['tokenizer'] {
  let tokenizer: Promise<Tokenizer> | undefined;
  return () => {
    tokenizer ??= readTokenizer(file, name).catch((error: unknown) => {
      tokenizer = undefined;
      throw error;
    });
    return tokenizer;
  };
}

function fitsTwice({ size }: ModelFacts, { memory }: Hardware): boolean {
  return size <= Math.min(MAX_MEASURED_SIZE, (memory ?? Number.POSITIVE_INFINITY) * MEASURED_SHARE);
}

/** The same plan with no more memory than the measurement needs. */
function measuringPlan(plan: DevicePlan): DevicePlan {
  const contextSize = Math.min(plan.contextSize, MEASURING_CONTEXT);
  return {
    ...plan,
    contextSize,
    slots: 1,
    batchSize: Math.min(plan.batchSize, contextSize),
    microBatchSize: Math.min(plan.microBatchSize, contextSize),
  };
}

/** The model, with its requests keeping the tuner from measuring, and their timings told to it. */
function tuned(instance: Instance, tuner: Tuner, tuning: Tuning, tokenizer: LoadedModel['tokenizer']): LoadedModel {
  instance.lost.then(tuner.add(tuning));
  let shown: boolean | undefined;
  let way: SchemaWay | undefined;
  return {
    info: instance.info,
    lost: instance.lost,
    tokenizer,
    async showsTools(signal) {
      shown ??= await showsTools(this, signal);
      return shown;
    },
    async schemaWay(signal) {
      way ??= await schemaWay(this, signal);
      return way;
    },
    get workload() {
      return instance.workload;
    },
    get tuning() {
      return tuning.report;
    },
    async *complete(request) {
      // With a slot free, the engine says so at once as well, and computes nothing.
      const full = instance.workload.processing >= instance.info.plan.slots;
      if (full) await refuseTooLong(request, instance.info, tokenizer);
      const use = tuner.use();
      let timings: unknown;
      try {
        for await (const result of instance.complete(request)) {
          timings = result.timings ?? timings;
          yield result;
        }
      } finally {
        use.end();
        if (timings && use.alone) tuning.observe(timings as Json);
      }
    },
    async embed(request) {
      const use = tuner.use();
      try {
        return await instance.embed(request);
      } finally {
        use.end();
      }
    },
    async rerank(request) {
      const use = tuner.use();
      try {
        return await instance.rerank(request);
      } finally {
        use.end();
      }
    },
    async *speak(request) {
      const use = tuner.use();
      try {
        yield* instance.speak(request);
      } finally {
        use.end();
      }
    },
    async *converse(request) {
      const use = tuner.use();
      try {
        yield* instance.converse(request);
      } finally {
        use.end();
      }
    },
    unload: () => instance.unload(),
  };
}
