/** What this device and browser have. */

import type { Gpu } from '../gpu/webgpu.ts';
import type { Device } from './device-plan.ts';
import { detectGpu } from './gpu-adapter.ts';
import type { GpuAdapter } from './webgpu-types.ts';

/** What does not change while a page lives. */
export type Hardware = Omit<Device, 'corrections'>;

let device: Promise<Hardware> | null = null;

export function thisDevice(): Promise<Hardware> {
  device ??= detect();
  return device;
}

async function detect(): Promise<Hardware> {
  return {
    cores: navigator.hardwareConcurrency || 1,
    sharedMemory: globalThis.crossOriginIsolated && typeof SharedArrayBuffer === 'function',
    modernWasm: hasModernWasm(),
    simd: simdLevel(),
    gpu: await detectGpu((navigator as { gpu?: Gpu<GpuAdapter> }).gpu),
    memory: deviceMemory(),
    browser: browserName(navigator.userAgent),
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

/** `() => i32x4.relaxed_dot_i8x16_i7x16_add_s(splat(0), splat(0), splat(0))`: what the relaxed kernels are made of. */
const RELAXED_SIMD_PROBE = simdProbe(0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15, 0xfd, 0x93, 2);
/** `() => i32x4.dot_i16x8_s(splat(0), splat(0))`. */
const SIMD_PROBE = simdProbe(0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15, 0xfd, 0xba, 1);

/** A module with one function of type `() => v128` and this code. */
function simdProbe(...code: number[]): Uint8Array<ArrayBuffer> {
  const body = [0, ...code, 0x0b];
  const types = [1, 5, 1, 0x60, 0, 1, 0x7b];
  const functions = [3, 2, 1, 0];
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...types, ...functions],
    ...[10, body.length + 2, 1, body.length, ...body],
  );
}

export function simdLevel(): Device['simd'] {
  if (WebAssembly.validate(RELAXED_SIMD_PROBE)) return 'relaxed';
  return WebAssembly.validate(SIMD_PROBE) ? 'simd128' : 'none';
}

/** GiB, rounded and capped by the browser; Firefox and Safari don't say. */
function deviceMemory(): number | null {
  const { deviceMemory: gibibytes } = navigator as { deviceMemory?: number };
  return gibibytes === undefined ? null : gibibytes * 1024 ** 3;
}

/** `Chrome/156`, `Firefox/153`, `Version/27` (Safari): the engine and its compiler, as far as speed depends on them. */
export function browserName(userAgent: string): string {
  return /(?:Firefox|Chrome|Version)\/\d+/.exec(userAgent)?.[0] ?? 'unknown';
}

/** Names the device for what is remembered of it: all but what was measured, which differs each time. */
export function deviceKey({ gpu, ...hardware }: Hardware): string {
  const name = gpu.state === 'usable' ? gpu.name : gpu.state;
  return JSON.stringify({ ...hardware, gpu: name });
}
