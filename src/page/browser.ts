/** What this browser has of what llamatab uses, found by the feature and never by the browser's name. */

/** Of the global scope, what is looked at. */
export interface Scope {
  navigator: object;
  AbortSignal: object;
  WebAssembly?: Pick<typeof WebAssembly, 'validate'>;
  crossOriginIsolated: boolean;
  SharedArrayBuffer?: unknown;
}

/** A module with one 64-bit memory of 0 pages. */
const MEMORY64 = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 3, 1, 4, 0);
/** A module with one function, `() => i8x16.splat(0)`. */
const SIMD = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0],
  ...[10, 8, 1, 6, 0, 0x41, 0, 0xfd, 15, 0x0b],
);

/** What llamatab can't do without, and the first versions that have it. */
const REQUIREMENTS: readonly [name: string, versions: string, has: (scope: Scope) => boolean][] = [
  ['Web Locks', 'Chrome 69, Firefox 96 or Safari 15.4', ({ navigator }) => 'locks' in navigator],
  [
    'SIMD in WebAssembly',
    'Chrome 91, Firefox 89 or Safari 16.4',
    (scope) => scope.WebAssembly?.validate(SIMD) ?? false,
  ],
  ['AbortSignal.any', 'Chrome 116, Firefox 124 or Safari 17.4', ({ AbortSignal }) => 'any' in AbortSignal],
];

/** Why llamatab can't run in this browser, in words for a person; null if it can. */
export function whyUnsupported(scope: Scope = globalThis): string | null {
  const missing = REQUIREMENTS.filter(([, , has]) => !has(scope));
  if (missing.length === 0) return null;
  const names = missing.map(([name, versions]) => `${name} (${versions})`);
  return `This browser is too old for llamatab: it lacks ${names.join(', and ')}. Update it, or use another one.`;
}

/** What this browser lacks, and what a visitor gets instead, in words for a person; none where nothing is missing. */
export function limitsOf(scope: Scope = globalThis): string[] {
  const limits: string[] = [];
  if (!scope.WebAssembly || !('Suspending' in scope.WebAssembly) || !scope.WebAssembly.validate(MEMORY64)) {
    limits.push(
      'This browser lacks JSPI or 64-bit memory in WebAssembly: the engine runs in a compatible build, which is slower and ' +
        'has at most 4 GB of memory for models.',
    );
  }
  // Without isolation nobody has it, which `ServerStatus.isolated` tells.
  if (scope.crossOriginIsolated && scope.SharedArrayBuffer === undefined) {
    limits.push('This browser lacks SharedArrayBuffer: the engine computes in one thread.');
  }
  if (!('gpu' in scope.navigator)) limits.push('This browser lacks WebGPU: the engine computes on the CPU.');
  return limits;
}
