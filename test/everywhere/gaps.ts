/**
 * What the engines lack of what llamatab uses, and what a visitor gets instead. A test asks each engine for each of them: what
 * is here and is there after all fails it, and so does what is missing and not here.
 */
import type { EngineName } from '../support/engines/tab.ts';

/** Each is a function for a worker of an isolated page, where the engine runs; `gaps.spec` runs it there. */
export const FEATURES = {
  'shared memory': () => typeof SharedArrayBuffer === 'function',
  JSPI: () => 'Suspending' in WebAssembly,
  // A module with one 64-bit memory of 0 pages.
  memory64: () => WebAssembly.validate(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 4, 0)),
  // `() => i32x4.relaxed_trunc_f32x4_s(f32x4.splat(f32.const 0))`
  'relaxed SIMD': () =>
    WebAssembly.validate(
      Uint8Array.of(
        ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
        ...[10, 14, 1, 12, 0, 0x43, 0, 0, 0, 0, 0xfd, 0x13, 0xfd, 0x81, 2, 11],
      ),
    ),
  WebGPU: () => 'gpu' in navigator,
  'transferable streams': () => {
    const stream = new ReadableStream();
    try {
      structuredClone(stream, { transfer: [stream as unknown as Transferable] });
      return true;
    } catch {
      return false;
    }
  },
  'Blobs in IndexedDB': () =>
    new Promise<boolean>((resolve) => {
      const opening = indexedDB.open('probe');
      opening.onupgradeneeded = () => opening.result.createObjectStore('store');
      opening.onerror = () => resolve(false);
      opening.onsuccess = () => {
        const transaction = opening.result.transaction('store', 'readwrite');
        transaction.oncomplete = () => resolve(true);
        transaction.onabort = () => resolve(false);
        try {
          transaction.objectStore('store').put(new Blob(['x']), 'blob');
        } catch {
          resolve(false);
        }
      };
    }),
  'files of the origin (OPFS)': () => typeof navigator.storage?.getDirectory === 'function',
  'memory size told': () => 'deviceMemory' in navigator,
} satisfies Record<string, () => boolean | Promise<boolean>>;

export type Feature = keyof typeof FEATURES;

export const GAPS: Record<EngineName, Partial<Record<Feature, string>>> = {
  chromium: {},
  firefox: {
    WebGPU: 'on Linux it is behind a preference: the engine computes on the CPU.',
    'memory size told': 'it never says: only the browser’s own failure to allocate ends what is too large.',
  },
  webkit: {
    'shared memory': 'WebKitGTK is built without SharedArrayBuffer, so one thread computes, isolated or not.',
    JSPI: 'WebKitGTK 2.50 is older than it: the compatible build of the engine (Asyncify) runs, which is slower.',
    memory64: 'the compatible build has 32-bit addresses, so that a model and its caches fit into 4 GB.',
    WebGPU: 'WebKitGTK is built without it: the engine computes on the CPU.',
    'relaxed SIMD': 'the kernels for plain SIMD run, which give the same bits.',
    'Blobs in IndexedDB':
      'refused in its automated sessions, as in private windows of Safari: models are stored as ArrayBuffers.',
    'transferable streams': 'not used: bytes go through MessagePorts.',
    'files of the origin (OPFS)': 'not used: models are in IndexedDB.',
    'memory size told': 'it never says: only the browser’s own failure to allocate ends what is too large.',
  },
};

/** Whether an engine is known to lack it. */
export function lacks(engine: EngineName, feature: Feature): boolean {
  return feature in GAPS[engine];
}
