/** How much memory loaded models may take together. */

const GIBIBYTE = 2 ** 30;

/** Of the device's memory; the rest is for the system, the browser and the page. */
const SHARE = 1 / 2;

/** GiB, assumed if the browser does not say. */
const USUAL_MEMORY = 4;

/**
 * A guess, as browsers reveal little. So it only decides which models stay loaded side by side; the engine reports a
 * model that does not fit at all.
 *
 * @param deviceMemory GiB, rounded and capped by the browser (`navigator.deviceMemory`); undefined if it does not say.
 * @returns bytes
 */
export function defaultBudget(
  deviceMemory: number | undefined = (globalThis.navigator as { deviceMemory?: number } | undefined)?.deviceMemory,
): number {
  return (deviceMemory ?? USUAL_MEMORY) * GIBIBYTE * SHARE;
}
