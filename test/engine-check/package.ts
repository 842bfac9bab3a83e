/** What is in wllama's packages of one version, as far as the engine relies on it. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readFunctionTable } from '../../src/kernels/link.ts';
import { readMemoryImage } from '../../src/kernels/memory-image.ts';
import { findTypeTraits } from '../../src/kernels/type-traits.ts';
import { readInstructions, readModule, type WasmModule } from '../../src/kernels/wasm-binary.ts';

export interface WllamaPackage {
  version: string;
  /** llama.cpp's build, e.g. `b12211-7d7f028`. */
  build: string;
  messages: Messages;
  /** By path: what is in the sources that the guard knows. */
  sources: Map<string, string>;
  /** Functions of Emscripten's part that stand between C++ and WebGPU. */
  gpuCalls: string[];
  binaries: Record<'wasm64' | 'wasm32', Binary>;
}

/** Fields of each message by name: their type, with `?` for one that may be left out. */
export type Messages = Record<string, Record<string, string>>;

export interface Binary {
  bytes: Uint8Array;
  sha256: string;
  /** Texts of the data, to look for what is written to the log. */
  text: string;
  /** ggml's functions by tensor type; null where the array is not found, even with other contents. */
  traits: TypeFunctions[] | null;
}

export interface TypeFunctions {
  vecDotType: number;
  /** The opcodes of each function, which stay the same wherever things lie in memory. */
  fromFloat: string;
  vecDot: string;
}

const SOURCES = ['src/wllama.ts', 'src/worker.ts', 'src/workers-code/generated.ts', 'cpp/wllama.cpp'];

/** @param modules a `node_modules` with both packages of one version. @throws Error for one without sources */
export function readPackage(modules: string): WllamaPackage {
  const wllama = join(modules, '@wllama', 'wllama');
  const compat = join(modules, '@wllama', 'wllama-compat');
  const text = (path: string) => readFileSync(join(wllama, path), 'utf8');
  const [main, other] = [wllama, compat].map(
    (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string },
  );
  if (!main || main.version !== other?.version) {
    throw new Error(`wllama is ${main?.version}, its compatible build ${other?.version}: install one version of both.`);
  }
  const sources = new Map(SOURCES.map((path) => [path, text(path)]));
  const generated = sources.get('src/workers-code/generated.ts') ?? '';
  return {
    version: main.version,
    build: /LIBLLAMA_VERSION = '([^']+)'/.exec(generated)?.[1] ?? 'unknown',
    messages: readMessages(text('src/glue/messages.ts')),
    sources,
    gpuCalls: [...new Set(generated.match(/_(?:em)?wgpu\w+/g) ?? [])].sort(),
    binaries: {
      wasm64: readBinary(join(wllama, 'esm', 'wasm', 'wllama.wasm')),
      wasm32: readBinary(join(compat, 'wasm', 'wllama.wasm')),
    },
  };
}

interface Prototype {
  fields: { name: string; type: string; isNullable: boolean }[];
}

/** The table of messages is written as JSON. */
export function readMessages(source: string): Messages {
  const [, table] = /GLUE_MESSAGE_PROTOTYPES[^=]*= (\{[\s\S]*?\n\});?\n/.exec(source) ?? [];
  if (!table) throw new Error('src/glue/messages.ts holds no GLUE_MESSAGE_PROTOTYPES: its form has changed.');
  return Object.fromEntries(
    Object.entries(JSON.parse(table) as Record<string, Prototype>).map(([name, { fields }]) => [
      name,
      Object.fromEntries(fields.map(({ name, type, isNullable }) => [name, isNullable ? `${type}?` : type])),
    ]),
  );
}

function readBinary(path: string): Binary {
  const bytes = new Uint8Array(readFileSync(path));
  const module = readModule(bytes);
  const image = readMemoryImage(module);
  return {
    bytes,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    text: new TextDecoder('latin1').decode(image),
    traits: readTraits(module, image),
  };
}

/** ggml adds types at the end. What follows the array has other things in the place of `vec_dot_type`. */
const MOST_TYPES = 64;
const TOLERATED = 4;

function readTraits(module: WasmModule, image: Uint8Array): TypeFunctions[] | null {
  const functions = readFunctionTable(module);
  const [array, ...more] = findTypeTraits(image, module.memory64, functions.length, TOLERATED);
  if (!array || more.length > 0) return null;
  const opcodes = (slot: number) => {
    const index = functions[slot];
    const body = index === undefined ? undefined : module.bodies[index - module.importedFunctions];
    return body
      ? readInstructions(body)
          .map(({ opcode }) => opcode)
          .join()
      : '';
  };
  const types: TypeFunctions[] = [];
  for (let type = 0; type < MOST_TYPES; type++) {
    const { fromFloat, vecDot, vecDotType, nrows } = array.entry(type);
    const isEntry = vecDotType < MOST_TYPES && (nrows === 0 || nrows === 1);
    if (!isEntry || (vecDot !== 0 && nrows === 0)) break;
    types.push({ vecDotType, fromFloat: opcodes(fromFloat), vecDot: opcodes(vecDot) });
  }
  return types;
}
