/** Which GPU the browser offers, whether ggml can use it, and if not, why and what to do about it. */
import { requestAdapter } from '../gpu/request-adapter.ts';
import type { Gpu } from '../gpu/webgpu.ts';
import { type GpuSpeed, probeGpu } from './gpu-probe.ts';
import type { GpuAdapter } from './webgpu-types.ts';

export type GpuSupport = UsableGpu | UnusableGpu;

export interface UsableGpu {
  state: 'usable';
  /** What the browser tells of it, for people: `nvidia, hopper`. */
  name: string;
  /** Bytes of one buffer, at most. */
  maxBufferSize: number;
  /** Bytes of one tensor, at most: a shader can't be given more at once. */
  maxBindingSize: number;
  speed: GpuSpeed;
}

export interface UnusableGpu {
  state: UnusableState;
  /** One sentence for people: why, and what to do. */
  message: string;
}

export type UnusableState = 'no-webgpu' | 'no-adapter' | 'software-adapter' | 'no-shader-f16' | 'device-failed';

/**
 * Finds the adapter that wllama will be given, since its worker asks in the same way, and tries a shader on it.
 * @param gpu the worker's `navigator.gpu`.
 * @param pause waits so many milliseconds before it asks again.
 */
export async function detectGpu(
  gpu: Gpu<GpuAdapter> | undefined,
  pause?: (milliseconds: number) => Promise<void>,
): Promise<GpuSupport> {
  if (gpu === undefined) return unusable('no-webgpu');
  const adapter = await requestAdapter(gpu, {}, pause).catch(() => null);
  if (adapter === null) return unusable('no-adapter');
  const name = adapterName(adapter);
  if (isSoftware(adapter)) return unusable('software-adapter', name);
  if (!adapter.features.has('shader-f16')) return unusable('no-shader-f16', name);
  try {
    const speed = await probeGpu(adapter);
    const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
    return { state: 'usable', name, maxBufferSize, maxBindingSize: maxStorageBufferBindingSize, speed };
  } catch (error) {
    return unusable('device-failed', name, error instanceof Error ? error.message : String(error));
  }
}

/** What browsers call the adapters that compute on the CPU, slower than our own code there. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render/i;

function isSoftware(adapter: GpuAdapter): boolean {
  if (adapter.isFallbackAdapter || adapter.info?.isFallbackAdapter) return true;
  return SOFTWARE.test(adapterName(adapter));
}

function adapterName({ info = {} }: GpuAdapter): string {
  const { vendor, architecture, device, description } = info;
  const parts = [vendor, architecture, device, description].filter((part) => part !== undefined && part !== '');
  return parts.join(', ') || 'an unnamed adapter';
}

function unusable(state: UnusableState, name = '', reason = ''): UnusableGpu {
  return { state, message: MESSAGES[state](name, reason) };
}

const MESSAGES: Record<UnusableState, (name: string, reason: string) => string> = {
  'no-webgpu': () =>
    'This browser has no WebGPU in workers. Chromium 113 (Linux: 144), Firefox 141 and Safari 26 have it, on pages served by HTTPS.',
  'no-adapter': () =>
    "WebGPU found no GPU. The browser may have switched it off: chrome://gpu or about:support says why; graphics acceleration has to be on in the browser's settings.",
  'software-adapter': (name) =>
    `WebGPU offers only a software adapter (${name}), which is slower than the CPU's own code. Switch on graphics acceleration, or update the GPU's driver.`,
  'no-shader-f16': (name) =>
    `The GPU (${name}) has no 16-bit floats (shader-f16), which llama.cpp needs. On Linux with an NVIDIA card, start Chromium with --enable-dawn-features=vulkan_enable_f16_on_nvidia; elsewhere a newer browser or driver may have them.`,
  'device-failed': (name, reason) =>
    `The GPU (${name}) was offered by the browser, but computed nothing right: ${reason}. Restart the browser, or update the GPU's driver.`,
};
