/**
 * A GGUF of any size with one tensor of noise: no engine could run it, but the store must accept it.
 * @module
 */
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';

const MIB = 2 ** 20;
/** The store's part size: src/models/parts-layout.ts. */
const PART = 64 * MIB;

/**
 * @param {string} path
 * @param {number} bytes about so many
 * @returns {{ size: number, sha256: string, parts: string[] }}
 */
export function writeNoise(path, bytes) {
  const mebibytes = Math.ceil(bytes / MIB);
  const header = headerOf(mebibytes * (MIB / 4));
  const file = openSync(path, 'w');
  const whole = createHash('sha256');
  /** @type {string[]} */
  const parts = [];
  let part = createHash('sha256');
  let inPart = 0;
  /** @param {Uint8Array} chunk */
  const write = (chunk) => {
    writeSync(file, chunk);
    whole.update(chunk);
    const left = PART - inPart;
    part.update(chunk.subarray(0, left));
    inPart += chunk.length;
    if (inPart < PART) return;
    parts.push(part.digest('hex'));
    inPart -= PART;
    part = createHash('sha256').update(chunk.subarray(left));
  };
  write(header);
  const noise = Buffer.alloc(MIB);
  for (let i = 0; i < mebibytes; i++) write(randomFillSync(noise));
  if (inPart > 0) parts.push(part.digest('hex'));
  closeSync(file);
  return { size: header.length + mebibytes * MIB, sha256: whole.digest('hex'), parts };
}

/**
 * Version 3, one pair of metadata, one tensor of floats; padded to 32 bytes.
 * @param {number} elements
 */
function headerOf(elements) {
  /** @param {number} value */
  const uint32 = (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  /** @param {number} value */
  const uint64 = (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  /** @param {string} text */
  const string = (text) => Buffer.concat([uint64(text.length), Buffer.from(text)]);
  const STRING = 8;
  const F32 = 0;
  const bare = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(3),
    uint64(1),
    uint64(1),
    string('general.architecture'),
    uint32(STRING),
    string('llama'),
    string('noise'),
    uint32(1),
    uint64(elements),
    uint32(F32),
    uint64(0),
  ]);
  return Buffer.concat([bare], Math.ceil(bare.length / 32) * 32);
}
