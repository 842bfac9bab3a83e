/**
 * ggml's `type_traits_cpu`: one entry for each tensor type, holding the functions that compute with it.
 *
 *     struct ggml_type_traits_cpu {
 *         ggml_from_float_t from_float;    // quantizes a row of floats
 *         ggml_vec_dot_t    vec_dot;       // dot product of a row of this type with one of vec_dot_type
 *         enum ggml_type    vec_dot_type;
 *         int64_t           nrows;         // rows for each call of vec_dot
 *     };
 *
 * It is a static constant without a name in the binary, so it is found by its content: the sequence of `vec_dot_type`s of
 * the first 24 types. The types' numbers are part of the GGUF format and stay; what a type is multiplied with may change
 * (F16's other operand was F16 until wllama 3.13), and a kernel for the old pair must not be linked then.
 */

/** ggml's numbers for tensor types (`enum ggml_type`), those that a kernel exists for. */
export const TYPE = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q8_1: 9,
  q2_K: 10,
  q3_K: 11,
  q4_K: 12,
  q5_K: 13,
  q6_K: 14,
  q8_K: 15,
  iq4_nl: 20,
  iq4_xs: 23,
  bf16: 30,
  mxfp4: 39,
} as const;

/** `vec_dot_type` by type, for the types 0 to 23; `nrows` is 1, or 0 where there is no dot product to speak of. */
const VEC_DOT_TYPES = [0, 0, 8, 9, 0, 0, 8, 9, 8, 9, 15, 15, 15, 15, 15, 0, 15, 15, 15, 15, 8, 15, 15, 15];
const TYPES_WITHOUT_DOT = [4, 5, 15];
/** Types that have both functions: whatever the array is, it must name a table slot for each. */
const TYPES_WITH_BOTH = [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23];

export interface TypeTraits {
  /** Index into the module's function table; 0 when there is none. */
  fromFloat: number;
  /** Index into the module's function table; 0 when there is none. */
  vecDot: number;
  vecDotType: number;
  nrows: number;
}

/** Reads one entry at a time of the array that begins at `address`. */
export interface TypeTraitsArray {
  address: number;
  entry(type: number): TypeTraits;
}

/**
 * Every place in the memory image that looks like the array; a caller wants exactly one.
 *
 * @param image the memory that the module starts with
 * @param memory64 whether pointers have 8 bytes
 * @param tableEnd one more than the last index of the function table
 * @param tolerated types that may differ from what is known: 0 to link, some to find out what has changed
 */
export function findTypeTraits(
  image: Uint8Array,
  memory64: boolean,
  tableEnd: number,
  tolerated = 0,
): TypeTraitsArray[] {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const pointer = memory64 ? 8 : 4;
  const stride = memory64 ? 32 : 24;
  const found: TypeTraitsArray[] = [];

  const word = (at: number) => {
    // Table indexes and row counts are small: a high half that is not zero means that this is something else.
    const high = view.getUint32(at + 4, true);
    return high === 0 ? view.getUint32(at, true) : Number.NaN;
  };
  const readPointer = (at: number) => (memory64 ? word(at) : view.getUint32(at, true));
  const entryAt = (at: number): TypeTraits => ({
    fromFloat: readPointer(at),
    vecDot: readPointer(at + pointer),
    vecDotType: view.getUint32(at + 2 * pointer, true),
    nrows: word(at + stride - 8),
  });

  // The struct's int64_t makes it 8-byte aligned in both memories.
  for (let address = 0; address + stride * VEC_DOT_TYPES.length <= image.length; address += 8) {
    const entry = (type: number) => entryAt(address + stride * type);
    let differences = 0;
    for (let type = 0; type < VEC_DOT_TYPES.length && differences <= tolerated; type++) {
      const { vecDotType, nrows } = entry(type);
      const isKnown = vecDotType === VEC_DOT_TYPES[type] && nrows === (TYPES_WITHOUT_DOT.includes(type) ? 0 : 1);
      if (!isKnown) differences++;
    }
    if (differences > tolerated) continue;
    const inTable = (index: number) => index > 0 && index < tableEnd;
    if (TYPES_WITH_BOTH.every((type) => inTable(entry(type).fromFloat) && inTable(entry(type).vecDot))) {
      found.push({ address, entry });
    }
  }
  return found;
}
