/** What follows from a failure on the GPU: fewer layers there, or none, and what a person is told. */
import type { GpuTrouble } from './device-plan.ts';

/** As browsers, Dawn, Emscripten, C++ and ggml say it. */
const OUT_OF_MEMORY =
  /out[ _]?of[ _]?((device|host)[ _])?memory|\bOOM\b|(not enough|insufficient) memory|(failed|unable) to allocate|cannot (allocate|enlarge)|allocation failed|bad_alloc/i;

export const isOutOfMemory = (reason: string): boolean => OUT_OF_MEMORY.test(reason);

/** Below so many layers, what is gained is less than what it costs to go back and forth between the two. */
const FEWEST_LAYERS = 4;

/**
 * After a load that failed.
 * @param layers how many were to be on the GPU.
 * @param reason why it failed, in llama.cpp's or the browser's words.
 */
export function troubleOfLoad(layers: number, reason: string): GpuTrouble {
  const fewer = Math.floor(layers / 2);
  if (isOutOfMemory(reason) && fewer >= FEWEST_LAYERS) {
    return {
      layersAtMost: fewer,
      reason: `The GPU has no memory for more than ${fewer} layers of this model. A smaller quantization or a shorter contextSize would fit.`,
    };
  }
  return { layersAtMost: 0, reason: `This model runs on the CPU, since the GPU could not load it: ${reason}` };
}

/** After a model's self-test did not give what the CPU gives. */
export function troubleOfResult(difference: string): GpuTrouble {
  return {
    layersAtMost: 0,
    reason: `This model runs on the CPU, since this GPU or its driver computes it wrong: ${difference}. An update of the driver or the browser may help.`,
  };
}

/** Times that the GPU may be lost under a model before it is left alone: once is a driver's update, or another program's fault. */
export const LOSSES = 2;

/** After the GPU was lost `LOSSES` times. */
export function troubleOfLosses(reason: string): GpuTrouble {
  return {
    layersAtMost: 0,
    reason: `This model runs on the CPU, since the GPU was lost under it ${LOSSES} times: ${reason}`,
  };
}
