/**
 * A result that waits is handed over before another step is computed.
 *
 * wllama's `get_result` computes a step for all requests, then gives one result. Where a step has several tokens of a stream, as
 * with drafted tokens, the stream would fall further behind with each, and come in one piece at the end. So it looks first, and
 * computes only if there is nothing.
 */
import { concat, encodeU32, functionNamed, Reader, WasmFormatError, type WasmModule } from './wasm-binary.ts';

const IF = 0x04;
const VOID = 0x40;
const END = 0x0b;
const CALL = 0x10;
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I64_CONST = 0x42;
const I64_EQZ = 0x50;

/**
 * The function's index, and its body with the order changed; of a 64-bit module. Throws `WasmFormatError` unless a step and a look
 * for a result follow each other in it once.
 */
export function giveResultsFirst(module: WasmModule): { index: number; body: Uint8Array } {
  const index = functionNamed(module, 'wllama_context::action_get_result');
  const compute = Uint8Array.of(CALL, ...encodeU32(functionNamed(module, 'server_context::start_loop()')));
  const look = functionNamed(module, 'server_response_reader::next');
  const body = module.bodies[index - module.importedFunctions] as Uint8Array;

  const found: { at: number; end: number; next: Uint8Array; result: number }[] = [];
  for (let at = body.indexOf(CALL); at >= 0; at = body.indexOf(CALL, at + 1)) {
    const reader = new Reader(body, at);
    try {
      if (!compute.every((byte) => reader.u8() === byte)) continue;
      const nextAt = reader.at;
      if (reader.u8() !== LOCAL_GET) continue;
      reader.u32();
      if (reader.u8() !== I64_CONST) continue;
      reader.signed(64);
      if (reader.u8() !== CALL || reader.u32() !== look) continue;
      const next = body.subarray(nextAt, reader.at);
      if (reader.u8() !== LOCAL_TEE) continue;
      found.push({ at, result: reader.u32(), end: reader.at, next });
    } catch (error) {
      if (!(error instanceof WasmFormatError)) throw error;
    }
  }
  const [place] = found;
  if (place === undefined || found.length > 1) {
    throw new WasmFormatError(`a step before a result is computed in ${found.length} places`);
  }
  const { at, end, next } = place;
  const result = encodeU32(place.result);
  return {
    index,
    body: concat([
      body.subarray(0, at),
      next,
      Uint8Array.of(LOCAL_TEE, ...result, I64_EQZ, IF, VOID),
      compute,
      next,
      Uint8Array.of(LOCAL_SET, ...result, END, LOCAL_GET, ...result),
      body.subarray(end),
    ]),
  };
}
