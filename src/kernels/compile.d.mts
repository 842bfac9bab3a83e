/** The names of the modules: `<level>-<address>.wasm`. */
export const MODULES: string[];
/** One of the modules, compiled with C read before every source. */
export function compileKernels(name: string, prelude?: string): Promise<Uint8Array<ArrayBuffer>>;
