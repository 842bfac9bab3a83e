/** What this device and browser have. */
import type { Device } from './device-plan.ts';

let device: Promise<Device> | null = null;

/** Asked once: none of it changes while a page lives. */
export function thisDevice(): Promise<Device> {
  device ??= detect();
  return device;
}

async function detect(): Promise<Device> {
  return {
    cores: navigator.hardwareConcurrency || 1,
    sharedMemory: globalThis.crossOriginIsolated && typeof SharedArrayBuffer === 'function',
    modernWasm: hasModernWasm(),
    webgpu: await hasUsableGpu(),
  };
}

function hasModernWasm(): boolean {
  // wllama runs its default build on Firefox without JSPI as well (files are then read into memory).
  const jspi = 'Suspending' in WebAssembly || navigator.userAgent.includes('Firefox/');
  return jspi && hasMemory64();
}

/** An empty module with one 64-bit memory of 0 pages. */
const MEMORY64_PROBE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 3, 1, 4, 0);

function hasMemory64(): boolean {
  return WebAssembly.validate(MEMORY64_PROBE);
}

/** ggml's WebGPU backend needs `shader-f16`, and without it says nothing and computes on the CPU. */
async function hasUsableGpu(): Promise<boolean> {
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<GpuAdapter | null> } }).gpu;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (!adapter) return false;
  // A software adapter is slower than our own code on the CPU.
  const software = adapter.isFallbackAdapter || adapter.info?.isFallbackAdapter;
  return !software && adapter.features.has('shader-f16');
}

/** The part of WebGPU's GPUAdapter that is read; TypeScript's own library does not hold it for workers. */
interface GpuAdapter {
  features: ReadonlySet<string>;
  /** Moved to `info` in newer browsers. */
  isFallbackAdapter?: boolean;
  info?: { isFallbackAdapter?: boolean };
}
