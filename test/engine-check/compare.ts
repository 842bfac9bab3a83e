/** What of one version of wllama still holds in another. */
import { KERNELS, link } from '../../src/kernels/link.ts';
import type { Messages, WllamaPackage } from './package.ts';

export interface Finding {
  /** `broken` says that the engine can't be used with it as it is; `changed` what a person should look at. */
  kind: 'broken' | 'changed';
  text: string;
}

/** The messages that the guard and wllama's own `loadModel` send, and what comes back. */
const MESSAGES = ['load', 'cmpl', 'embd', 'rrnk', 'gres', 'cncl'].flatMap((name) => [`${name}_req`, `${name}_res`]);

/** What `wllama-guard.ts` and `wllama-engine.ts` know of wllama's inside, and why each would be missed. */
export const RELIED_ON: readonly { path: string; text: string; why: string }[] = [
  { path: 'src/wllama.ts', text: 'private proxy: ProxyToWorker', why: 'the guard waits for it to be assigned' },
  { path: 'src/worker.ts', text: 'this.worker = createWorker(', why: 'the guard waits for it to be assigned' },
  { path: 'src/worker.ts', text: 'this.worker.onerror = this.logger.error', why: 'a worker that fails is known by it' },
  { path: 'src/worker.ts', text: 'resultQueue: Task[]', why: 'a refused request is taken from it' },
  { path: 'src/worker.ts', text: 'nbThread: number', why: 'spare threads are added to it' },
  { path: 'src/worker.ts', text: 'async moduleInit(', why: 'a draft is given to the engine by it' },
  { path: 'src/worker.ts', text: 'async wllamaAction<', why: 'results are polled by it' },
  { path: 'src/worker.ts', text: "new WllamaError('The model was unloaded'", why: 'exit() ends what is under way' },
  { path: 'src/workers-code/generated.ts', text: "verb: 'signal.abort'", why: 'a crash is known by it' },
  {
    path: 'src/workers-code/generated.ts',
    text: "['exception', message, stack, err]",
    why: 'a refusal is known by it',
  },
  {
    path: 'cpp/wllama.cpp',
    text: 'printStr(GGML_LOG_LEVEL_ERROR, e.what());',
    why: 'it tells why a request was refused',
  },
  { path: 'cpp/wllama.cpp', text: 'return nullptr;', why: 'a refusal is known by the length that is read there' },
];

/** Formats of llama.cpp's log lines that are read. */
export const LOG_LINES = ['offloaded %d/%d layers to GPU', 'assigned to device %s'];

export function compareMessages(known: Messages, other: Messages): Finding[] {
  return MESSAGES.flatMap((name): Finding[] => {
    const [before, after] = [known[name] ?? {}, other[name]];
    if (!after) return [{ kind: 'broken', text: `the message ${name} is gone` }];
    const gone = Object.entries(before).filter(([field, type]) => after[field] !== type);
    const added = Object.entries(after).filter(([field]) => !(field in before));
    return [
      ...gone.map(([field, type]): Finding => {
        const now = after[field] ? `is ${after[field]} now` : 'is gone';
        return { kind: 'broken', text: `${name}.${field} (${type}) ${now}` };
      }),
      ...added.map(([field, type]): Finding => {
        // wllama's own code sends `load_req`.
        const needed = name.endsWith('_req') && name !== 'load_req' && !type.endsWith('?');
        return { kind: needed ? 'broken' : 'changed', text: `${name}.${field} (${type}) is new` };
      }),
    ];
  });
}

export function compareSources(other: WllamaPackage): Finding[] {
  const missing = RELIED_ON.filter(({ path, text }) => !other.sources.get(path)?.includes(text));
  const silent = LOG_LINES.filter((line) => !other.binaries.wasm64.text.includes(line));
  return [
    ...missing.map(({ path, text, why }): Finding => ({ kind: 'broken', text: `${path} has no "${text}": ${why}` })),
    ...silent.map((line): Finding => ({ kind: 'broken', text: `llama.cpp's log has no "${line}" any more` })),
  ];
}

export function compareGpuCalls(known: WllamaPackage, other: WllamaPackage): Finding[] {
  const gone = known.gpuCalls.filter((name) => !other.gpuCalls.includes(name));
  const added = other.gpuCalls.filter((name) => !known.gpuCalls.includes(name));
  return [
    ...gone.map((name): Finding => ({ kind: 'changed', text: `the WebGPU call ${name} is gone` })),
    ...added.map((name): Finding => ({ kind: 'changed', text: `the WebGPU call ${name} is new` })),
  ];
}

export function compareKernels(
  known: WllamaPackage,
  other: WllamaPackage,
  kernels: (level: string, address: string) => Uint8Array,
): Finding[] {
  return (['wasm64', 'wasm32'] as const).flatMap((address): Finding[] => {
    const [before, after] = [known.binaries[address].traits ?? [], other.binaries[address].traits];
    if (!after) return [{ kind: 'broken', text: `${address}: no type_traits_cpu, nor anything like it` }];
    const findings: Finding[] = [];
    for (const [type, traits] of after.entries()) {
      const old = before[type];
      if (!old) {
        findings.push({ kind: 'changed', text: `${address}: type ${type} is new` });
        continue;
      }
      if (old.vecDotType !== traits.vecDotType) {
        findings.push({
          kind: 'broken',
          text: `${address}: type ${type} is multiplied with type ${traits.vecDotType}, before with ${old.vecDotType}`,
        });
      }
      for (const role of ['fromFloat', 'vecDot'] as const) {
        if (old[role] === traits[role]) continue;
        const ours = KERNELS.find((kernel) => kernel.type === type && kernel.role === role);
        const kept = ours ? `: measure whether ${ours.name} is still faster` : '';
        findings.push({ kind: 'changed', text: `${address}: the ${role} of type ${type} is other code${kept}` });
      }
    }
    for (const level of ['simd128', 'relaxed']) {
      try {
        link(other.binaries[address].bytes, kernels(level, address));
      } catch (error) {
        findings.push({ kind: 'broken', text: `${address}, ${level}: ${(error as Error).message}` });
      }
    }
    return findings;
  });
}
