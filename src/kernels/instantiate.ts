/** Runs a module of kernels for 32-bit addresses. */

export interface Kernels {
  memory: WebAssembly.Memory;
  /** The dot product of two rows, put at addresses of the memory. */
  dot(name: string, rows: { n: number; x: Uint8Array; y: Uint8Array }, at?: { x: number; y: number }): number;
  /** A row of floats, quantized to `ratio` bytes an element. */
  quantize(name: string, x: Float32Array, ratio: number): Uint8Array;
}

const PAGES = 4;
const RESULT = 64;

export function instantiate(bytes: Uint8Array<ArrayBuffer>): Kernels {
  const memory = new WebAssembly.Memory({ initial: PAGES });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const kernel = (name: string) => exports[name] as (...parameters: (number | bigint)[]) => void;

  return {
    memory,
    dot(name, { n, x, y }, at = { x: 1024, y: 131072 }) {
      new Uint8Array(memory.buffer).set(x, at.x);
      new Uint8Array(memory.buffer).set(y, at.y);
      kernel(name)(n, RESULT, 0, at.x, 0, at.y, 0, 1);
      return new DataView(memory.buffer).getFloat32(RESULT, true);
    },
    quantize(name, x, ratio) {
      const length = x.length * ratio;
      new Uint8Array(memory.buffer).fill(0xaa);
      new Float32Array(memory.buffer).set(x, 32);
      kernel(name)(128, 131072, BigInt(x.length));
      const after = new Uint8Array(memory.buffer, 131072 + length, 64);
      if (after.some((byte) => byte !== 0xaa)) throw new Error(`${name} wrote beyond its row`);
      return new Uint8Array(memory.buffer, 131072, length).slice();
    },
  };
}
