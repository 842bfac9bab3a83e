/** The adapter that ggml gets: of two, the fast one; and not none, because the browser had just started. */
import type { Gpu, GpuAdapterOptions } from './webgpu.ts';

/** Milliseconds before asking again. Chromium, just started, was seen to answer null once and then to have a card. */
const PAUSE = 500;

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/**
 * Asks for a high-performance adapter, then for any; after a moment, once more.
 *
 * @param options The caller's own, which hold for each try but for the preference.
 * @returns null where there is none
 * @throws What the browser throws at the last try
 */
export async function requestAdapter<Adapter>(
  gpu: Gpu<Adapter>,
  options: GpuAdapterOptions = {},
  wait: (milliseconds: number) => Promise<void> = pause,
): Promise<Adapter | null> {
  // wllama hides the GPU from a model that is to be run without it: behind an object that has this one method, and says null.
  const rounds = 'wgslLanguageFeatures' in gpu ? [1, 2] : [1];
  const { powerPreference = 'high-performance', ...others } = options;
  let failure: { error: unknown } | undefined;
  for (const round of rounds) {
    for (const preference of [{ powerPreference }, {}]) {
      try {
        const adapter = await gpu.requestAdapter({ ...others, ...preference });
        if (adapter) return adapter;
        failure = undefined;
      } catch (error) {
        failure = { error };
      }
    }
    if (round < rounds.length) await wait(PAUSE);
  }
  if (failure) throw failure.error;
  return null;
}
