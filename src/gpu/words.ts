/** Rows of 32-bit words as keys: hashed without making strings of them, then compared. */

export function hashWords(words: Uint32Array, length = words.length, seed = 0): number {
  let hash = seed ^ length;
  for (let i = 0; i < length; i++) {
    hash = Math.imul(hash ^ (words[i] as number), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}

export function equalWords(a: Uint32Array, b: Uint32Array, length = b.length): boolean {
  if (a.length !== length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
