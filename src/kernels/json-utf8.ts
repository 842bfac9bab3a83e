/**
 * What the engine's JSON does with text that is no UTF-8: a token that is a part of a character, an answer that ends in one.
 *
 * llama-server writes a replacement character there. wllama calls nlohmann's `dump()` without saying so, whose default is to
 * throw, so that the whole answer is lost. Which of the two is a field of nlohmann's serializer, set from a parameter in the
 * one function that makes serializers: we set it to llama-server's.
 */
import { WasmFormatError } from './wasm-binary.ts';

/** nlohmann's `error_handler_t::replace`. */
const REPLACE = 1;

const ANY = -1;
/**
 * Code section bytes: the end of the serializer's 512 spaces of indentation, then the field.
 * `i32.const 0; i32.store8 offset=512; local.get serializer; local.get handler; i32.store`
 */
const CONSTRUCTION = [0x41, 0x00, 0x3a, 0x00, 0x80, 0x04, 0x20, ANY, 0x20, ANY, 0x36, 0x02];
const HANDLER = 8;

/** The code section with a serializer that does not throw. Throws `WasmFormatError` unless it is found exactly once. */
export function replaceInvalidUtf8(codeSection: Uint8Array): Uint8Array {
  const places: number[] = [];
  const [first = 0] = CONSTRUCTION;
  for (let at = codeSection.indexOf(first); at >= 0; at = codeSection.indexOf(first, at + 1)) {
    if (CONSTRUCTION.every((byte, index) => byte === ANY || byte === codeSection[at + index])) places.push(at);
  }
  const [place] = places;
  if (place === undefined || places.length > 1) {
    throw new WasmFormatError(`the JSON serializer's handling of invalid UTF-8 is found ${places.length} times`);
  }
  const changed = new Uint8Array(codeSection);
  const I32_CONST = 0x41;
  changed.set([I32_CONST, REPLACE], place + HANDLER);
  return changed;
}
