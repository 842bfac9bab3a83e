/** How much memory loaded models may take together. */

const GIBIBYTE = 2 ** 30;

/** Of the device's memory: the rest is the system's, the browser's and the page's. */
const SHARE = 1 / 2;

/** GiB; of a device that does not say. */
const USUAL_MEMORY = 4;

/**
 * A guess, for browsers tell little. So it only decides which models stay loaded beside each other; the engine says what
 * does not fit at all.
 *
 * @param deviceMemory GiB, rounded and capped by the browser (`navigator.deviceMemory`); undefined where it does not say.
 * @returns bytes
 */
export function defaultBudget(
  deviceMemory: number | undefined = (globalThis.navigator as { deviceMemory?: number } | undefined)?.deviceMemory,
): number {
  return (deviceMemory ?? USUAL_MEMORY) * GIBIBYTE * SHARE;
}
