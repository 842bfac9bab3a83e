/**
 * Which kind of speculative decoding a model is loaded with.
 *
 * llama.cpp drafts tokens, from a smaller model or from what a text repeats, and verifies them in one step. All kinds are compiled
 * in, but wllama leaves `speculative.types` at none: it has parameters for a draft model, which is loaded then and never asked. The
 * one of them that does nothing without another, `spec_draft_threads_batch`, is stored into the first of the types instead.
 *
 * What the n-gram lookup looks for and drafts are constants, which are changed: see `LOOKUP`.
 */
import {
  concat,
  encodeU32,
  functionNamed,
  Reader,
  sameBytes,
  WasmFormatError,
  type WasmModule,
} from './wasm-binary.ts';

/**
 * Tokens that a text must repeat for what followed them to be drafted, and how many are drafted: at most so many, at least as many as
 * were looked for. llama.cpp's own 12 and 48 are for a GPU, which computes 49 tokens in little more time than one; on a CPU each costs half
 * a step and more. A text that repeats itself is written 1.4 to 1.5 times as fast, with 12 and 48 it was 1.1; one of which 6 guesses in 10
 * are right 0.94 to 1.01, and it was 0.82 to 0.87 (`bench/engine/drafting.md`; the others with these constants changed). Fewer than 8 are repeated by chance: of 6, a story of 80 tokens had two drafts, and no token of them was right.
 */
export const LOOKUP = { repeated: 8, drafted: 16 } as const;

/** Code section bytes: `v128.const i16x8` of three lookups' tokens repeated, tokens drafted, hits; the last one's hits are elsewhere. */
const LOOKUPS = Uint8Array.of(0xfd, 0x0c, 12, 0, 48, 0, 1, 0, 12, 0, 48, 0, 1, 0, 12, 0, 48, 0);
/** They are written by the constructors of what a server and a request are told. */
const CONSTRUCTORS = 2;

const IF = 0x04;
const VOID = 0x40;
const END = 0x0b;
const LOCAL_GET = 0x20;
const I32_LOAD = 0x28;
const I64_LOAD = 0x29;
const F32_LOAD = 0x2a;
const I32_STORE = 0x36;
const F32_STORE = 0x38;
const I64_CONST = 0x42;

/** The draft's parameters as they are stored: layers, most tokens, fewest, probability, threads, threads for batches. */
const STORED = [I32_STORE, I32_STORE, I32_STORE, F32_STORE, I32_STORE, I32_STORE];
/** Bytes from the most tokens to the fewest, and to the probability: neighbours in `common_params_speculative_draft`. */
const TO_FEWEST = 4;
const TO_PROBABILITY = 12;
/** Bytes from the types to the most tokens: a vector, a number, a vector. */
const TO_MOST = 24 + 8 + 24;

/**
 * The function's index, and its body with the kind in a parameter's reach; of a 64-bit module. Throws `WasmFormatError` unless the
 * draft's parameters are stored in it once.
 */
export function reachDrafting(module: WasmModule): { index: number; body: Uint8Array } {
  const index = functionNamed(module, 'wllama_context::action_load');
  const body = module.bodies[index - module.importedFunctions] as Uint8Array;
  const found = findParameters(body);
  const [place] = found;
  if (place === undefined || found.length > 1) {
    throw new WasmFormatError(`the draft model's parameters are stored in ${found.length} places`);
  }
  const { types, last } = place;
  return {
    index,
    body: concat([
      body.subarray(0, last.at),
      Uint8Array.of(I64_CONST),
      encodePositive(types),
      Uint8Array.of(I64_LOAD, 3, 0),
      body.subarray(last.valueAt),
    ]),
  };
}

/** The code section with another lookup. Throws `WasmFormatError` unless llama.cpp's own is found where it should be. */
export function setLookup(
  codeSection: Uint8Array,
  { repeated, drafted }: { repeated: number; drafted: number },
): Uint8Array {
  const places: number[] = [];
  for (let at = codeSection.indexOf(0xfd); at >= 0; at = codeSection.indexOf(0xfd, at + 1)) {
    if (sameBytes(codeSection.subarray(at, at + LOOKUPS.length), LOOKUPS)) places.push(at);
  }
  if (places.length !== CONSTRUCTORS) throw new WasmFormatError(`the n-gram lookup is found ${places.length} times`);
  const changed = new Uint8Array(codeSection);
  for (const place of places) changed.set([repeated, 0, drafted, 0], place + 2);
  return changed;
}

/** `if (given) *address = value`. */
interface Store {
  opcode: number;
  address: number;
  /** Where the address's instruction begins, where the value's do, and where the `if` ends. */
  at: number;
  valueAt: number;
  end: number;
}

/** Each run of stores that are the draft's parameters: the address of the types, and the last store. */
function findParameters(body: Uint8Array): { types: number; last: Store }[] {
  const found: { types: number; last: Store }[] = [];
  for (let start = body.indexOf(LOCAL_GET); start >= 0; start = body.indexOf(LOCAL_GET, start + 1)) {
    const stores: Store[] = [];
    for (let at = start; stores.length < STORED.length; ) {
      const store = readStore(body, at);
      if (store === undefined || store.opcode !== STORED[stores.length]) break;
      stores.push(store);
      at = store.end;
    }
    const [, most, fewest, probability, , last] = stores;
    if (!most || !fewest || !probability || !last) continue;
    if (fewest.address - most.address !== TO_FEWEST || probability.address - most.address !== TO_PROBABILITY) continue;
    found.push({ types: most.address - TO_MOST, last });
  }
  return found;
}

/** The conditional store that begins at `start`, `undefined` for anything else. */
function readStore(body: Uint8Array, start: number): Store | undefined {
  const reader = new Reader(body, start);
  const is = (...bytes: number[]) => bytes.every((byte) => reader.u8() === byte);
  try {
    if (!is(LOCAL_GET)) return undefined;
    const request = reader.u32();
    if (!is(I32_LOAD, 2)) return undefined;
    reader.u32();
    if (!is(IF, VOID)) return undefined;
    const at = reader.at;
    if (!is(I64_CONST)) return undefined;
    const address = Number(reader.signed(64));
    const valueAt = reader.at;
    if (!is(LOCAL_GET) || reader.u32() !== request) return undefined;
    const load = reader.u8();
    if ((load !== I32_LOAD && load !== F32_LOAD) || !is(2)) return undefined;
    reader.u32();
    const opcode = reader.u8();
    return is(2, 0, END) ? { opcode, address, at, valueAt, end: reader.at } : undefined;
  } catch (error) {
    if (error instanceof WasmFormatError) return undefined;
    throw error;
  }
}

/** As a constant has it, whose highest bit is a sign. */
function encodePositive(value: number): Uint8Array {
  const SIGN = 0x40;
  const CONTINUES = 0x80;
  const bytes = encodeU32(value);
  const last = bytes[bytes.length - 1] as number;
  return last & SIGN ? Uint8Array.of(...bytes.subarray(0, -1), last | CONTINUES, 0) : bytes;
}
