/**
 * How fast a model will be, before it has run: from its size and layers and what is known of the device. Right within a factor
 * of two, which is enough to choose between a GPU and a CPU that differ by more; what is nearer is decided by measuring
 * (`tuner.ts`). What was measured corrects it (`Corrections`).
 *
 * A decoded token reads all weights once: on a CPU, that is its whole price. On a GPU the price is calls: each layer is about
 * twenty dispatches that wait for one another, whatever their size. A prompt is arithmetic on both.
 */

import type { DevicePlan, Rates, Variant } from './engine.ts';
import type { GpuSpeed } from './gpu-probe.ts';

/** What of a model decides its speed. */
export interface ModelWork {
  /** Blocks, of which each is about `DISPATCHES_PER_LAYER` dispatches. */
  layers: number;
  /** Bytes of weights that one token reads: of a mixture of experts, only the experts that it is sent to. */
  bytesPerToken: number;
  /** Multiplications and additions for one token, which is the number of weights that it reads. */
  multiplyAddsPerToken: number;
  /** Whether it only embeds: there is nothing to decode. */
  embeds: boolean;
}

/** Of the present choice against another: measured divided by estimated seconds, for each processor. 1 where nothing is known. */
export interface Corrections {
  cpu: number;
  gpu: number;
}

export const NO_CORRECTIONS: Corrections = { cpu: 1, gpu: 1 };

/**
 * Of a turn of a chat, in tokens, by which plans are compared: what was written since the last one, and a short answer. A GPU
 * is far ahead in prompts and often behind in decoding, so this weighs the two as people use them.
 */
export const TURN = { prompt: 128, predicted: 128 };

/** Seconds of a turn, or of the prompt alone for a model that only embeds. */
export function turnSeconds({ prompt_per_second, predicted_per_second }: Rates): number {
  if (predicted_per_second === null) return TURN.prompt / prompt_per_second;
  return TURN.prompt / prompt_per_second + TURN.predicted / predicted_per_second;
}

/**
 * Of the CPU, for each thread; measured with Q4_0, Q4_1 and Q8_0 on x86 servers of 2 and 16 cores (bench/engine/results.md).
 * Bytes of weights in decoding, multiply-adds in prompts.
 */
const CPU_THREAD: Record<Variant, { bytes: number; multiplyAdds: number }> = {
  relaxed: { bytes: 3e9, multiplyAdds: 9e9 },
  simd128: { bytes: 2.8e9, multiplyAdds: 7.5e9 },
  stock: { bytes: 0.8e9, multiplyAdds: 1.6e9 },
};
/** Bytes a second that threads get from memory together, at most. */
const CPU_MEMORY = 30e9;
/** Seconds that each thread adds to each layer of a token: they wait for one another at every operation. */
const THREAD_WAIT = 16e-6;

/** A llama-shaped layer; others are near it. */
const DISPATCHES_PER_LAYER = 19;
/** Of a token, beside its layers: embeddings, output, sampling, reading back. */
const DISPATCHES_PER_STEP = 40;
/**
 * Seconds that a dispatch costs before it comes to the GPU: llama.cpp's graph, its calls, the browser's checks. The GPU works
 * meanwhile, so the slower of the two counts. Measured on a card: 14 to 19 µs for each dispatch in all (bench/results/webgpu.md).
 */
const CALL = 12e-6;
/** Share of the bandwidth of a plain read that a matrix times a vector reaches. */
const READ_EFFICIENCY = 0.5;
/** Multiply-adds a second in prompts: at least so many, or so many for each byte a second of bandwidth. */
const GPU_MULTIPLY_ADDS = 150e9;
const GPU_MULTIPLY_ADDS_PER_BYTE = 0.5;

/** Tokens a second with an empty context. */
export function estimateRates(
  work: ModelWork,
  plan: Pick<DevicePlan, 'variant' | 'threads' | 'gpuLayers'>,
  gpu: GpuSpeed | null,
  corrections: Corrections = NO_CORRECTIONS,
): Rates {
  const onGpu = gpu === null ? 0 : Math.min(1, plan.gpuLayers / Math.max(1, work.layers));
  const cpuShare = cpuSeconds(work, plan, (1 - onGpu) * corrections.cpu);
  const gpuShare = gpu === null || onGpu === 0 ? NOTHING : gpuSeconds(work, gpu, onGpu * corrections.gpu);
  return {
    prompt_per_second: TURN.prompt / (cpuShare.prompt + gpuShare.prompt),
    predicted_per_second: work.embeds ? null : 1 / (cpuShare.token + gpuShare.token),
  };
}

/** Seconds of a turn's prompt, and of one decoded token. */
interface Seconds {
  prompt: number;
  token: number;
}

const NOTHING: Seconds = { prompt: 0, token: 0 };

function cpuSeconds(
  { layers, bytesPerToken, multiplyAddsPerToken }: ModelWork,
  { variant, threads }: Pick<DevicePlan, 'variant' | 'threads'>,
  scale: number,
): Seconds {
  const { bytes, multiplyAdds } = CPU_THREAD[variant];
  return {
    prompt: ((TURN.prompt * multiplyAddsPerToken) / (threads * multiplyAdds)) * scale,
    token: (bytesPerToken / Math.min(threads * bytes, CPU_MEMORY) + layers * threads * THREAD_WAIT) * scale,
  };
}

function gpuSeconds(
  { layers, bytesPerToken, multiplyAddsPerToken }: ModelWork,
  { secondsPerDispatch, bytesPerSecond }: GpuSpeed,
  scale: number,
): Seconds {
  const step = (layers * DISPATCHES_PER_LAYER + DISPATCHES_PER_STEP) * Math.max(CALL, secondsPerDispatch);
  const reading = bytesPerToken / (bytesPerSecond * READ_EFFICIENCY);
  const multiplyAdds = Math.max(GPU_MULTIPLY_ADDS, bytesPerSecond * GPU_MULTIPLY_ADDS_PER_BYTE);
  return {
    prompt: (step + (TURN.prompt * multiplyAddsPerToken) / multiplyAdds) * scale,
    token: (step + reading) * scale,
  };
}

/** How much of what was measured a correction takes over at once: one measurement may have been disturbed. */
const TRUST = 0.5;
/** Beyond so many times, the measurement is of something else: a tab in the background, a machine that sleeps. */
const MAX_CORRECTION = 8;

/** The corrections after a measurement of a plan that ran wholly on one of the two. */
export function corrected(
  corrections: Corrections,
  processor: keyof Corrections,
  estimated: Rates,
  measured: Rates,
): Corrections {
  const factor = (turnSeconds(measured) / turnSeconds(estimated)) ** TRUST;
  const next = corrections[processor] * factor;
  return { ...corrections, [processor]: Math.min(MAX_CORRECTION, Math.max(1 / MAX_CORRECTION, next)) };
}
