/**
 * Merges neighbouring symbols, the best pair first, as BPE and SentencePiece do: in `n log n` steps, however long the text is.
 */

interface Pair {
  /** The pair with the lowest rank is merged first. */
  rank: number;
  left: number;
  right: number;
  /** Length of the merged text: it shows whether a part has grown since, and the pair is out of date. */
  size: number;
}

/**
 * Merges symbols of `text`, which are its code points at first.
 * @param rankOf The rank of the pair that is `text` from `start` to `end`, divided at `middle`; undefined if the two are
 *   never merged. Among equal ranks, the leftmost pair is merged first.
 * @returns The symbols that are left, in order.
 */
export function mergeSymbols(
  text: string,
  rankOf: (start: number, middle: number, end: number) => number | undefined,
): string[] {
  const starts: number[] = [];
  for (let at = 0; at < text.length; at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) starts.push(at);
  const count = starts.length;
  if (count <= 1) return text === '' ? [] : [text];
  const startOf = (symbol: number) => starts[symbol] ?? text.length;
  // The end and the neighbours of each symbol. A symbol that was merged into its left neighbour ends where it starts.
  const ends = starts.map((_, symbol) => startOf(symbol + 1));
  const endOf = (symbol: number) => ends[symbol] ?? 0;
  const previous = Int32Array.from(starts, (_, symbol) => symbol - 1);
  const next = Int32Array.from(starts, (_, symbol) => (symbol + 1 < count ? symbol + 1 : -1));

  const heap = new PairHeap();
  const propose = (left: number, right: number) => {
    if (left < 0 || right < 0) return;
    const rank = rankOf(startOf(left), startOf(right), endOf(right));
    if (rank !== undefined) heap.push({ rank, left, right, size: endOf(right) - startOf(left) });
  };
  for (let symbol = 1; symbol < count; symbol++) propose(symbol - 1, symbol);

  for (let pair = heap.pop(); pair; pair = heap.pop()) {
    const { left, right, size } = pair;
    const leftSize = endOf(left) - startOf(left);
    const rightSize = endOf(right) - startOf(right);
    if (leftSize === 0 || rightSize === 0 || leftSize + rightSize !== size) continue;
    ends[left] = endOf(right);
    ends[right] = startOf(right);
    const after = next[right] ?? -1;
    next[left] = after;
    if (after >= 0) previous[after] = left;
    propose(previous[left] ?? -1, left);
    propose(left, after);
  }

  const symbols: string[] = [];
  for (let symbol = 0; symbol >= 0; symbol = next[symbol] ?? -1)
    symbols.push(text.slice(startOf(symbol), endOf(symbol)));
  return symbols;
}

/** A binary heap. */
class PairHeap {
  readonly #pairs: Pair[] = [];

  push(pair: Pair): void {
    const pairs = this.#pairs;
    let at = pairs.length;
    pairs.push(pair);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = pairs[parent] as Pair;
      if (!isBefore(pair, above)) break;
      pairs[at] = above;
      at = parent;
    }
    pairs[at] = pair;
  }

  pop(): Pair | undefined {
    const pairs = this.#pairs;
    const first = pairs[0];
    const last = pairs.pop();
    if (first === last || last === undefined) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= pairs.length) break;
      if (child + 1 < pairs.length && isBefore(pairs[child + 1] as Pair, pairs[child] as Pair)) child++;
      const below = pairs[child] as Pair;
      if (!isBefore(below, last)) break;
      pairs[at] = below;
      at = child;
    }
    pairs[at] = last;
    return first;
  }
}

function isBefore(a: Pair, b: Pair): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.left < b.left);
}
