/**
 * Grammars that would stop the engine: those that llama.cpp's parser accepts and then doesn't come to an end with, or follows
 * in more and more ways at once with each character. What is fine costs a few milliseconds to find so.
 */
import { contains } from './character-set.ts';
import { type Element, type Grammar, GrammarFault, parseGrammar, type Rule } from './grammar.ts';

/**
 * Of a grammar's text. The longest in use, of C or of a list of words, have some 10 KB; llama.cpp prints one that it can't parse,
 * and copies it.
 */
const MAX_LENGTH = 2 ** 20;
/** Rules that begin with one another in a row: llama.cpp recurses, on the small stack of a wasm thread. */
const MAX_CHAIN = 3000;
/** Visits of llama.cpp's search for left recursion, which follows each path anew; some 10 ns each. */
const MAX_VISITS = 5_000_000;
/**
 * Ways to go on after the same text. For each of them, llama.cpp goes through the whole vocabulary at each token. The
 * values of an enumeration are a way each, at its beginning: OpenAI allows 1,000.
 */
const MAX_WAYS = 1100;
/** Characters that are tried, each time one that leaves the most ways: ways that multiply do so within a few. */
const TRIED_CHARACTERS = 200;
/** Characters after which ways that have not become more won't: the names and brackets around a part that nests are shorter. */
const QUIET_CHARACTERS = 40;
/** Characters of the same place that are tried. */
const TRIED_AT_ONCE = 12;
const SPACES = ' \t\n';
/** Walks that each take what those before it have taken least. */
const VARIED_ROUNDS = 3;
/** Rules that are looked at on their own. */
const MAX_NESTING_RULES = 40;
/** Steps of llama.cpp’s between two characters; and of ours where most ways are, and as many on all other paths. */
const MAX_EXPANSIONS = 50_000;
const MAX_TRIED_EXPANSIONS = 200_000;

/** Why the engine can't take a GBNF grammar, for its author; undefined where it can. */
export function grammarFault(text: string): string | undefined {
  try {
    if (text.length > MAX_LENGTH) {
      throw new GrammarFault(`it has ${text.length} characters; the limit is ${MAX_LENGTH}. Write a shorter one`);
    }
    const grammar = parseGrammar(text);
    checkBeginnings(grammar);
    checkWays(grammar);
    return undefined;
  } catch (error) {
    if (error instanceof GrammarFault) return error.message;
    throw error;
  }
}

// --- left recursion ------------------------------------------------------------------------------------------------

/** Finds left recursion, llama.cpp's own search for which misses some and can take for ever. */
function checkBeginnings(grammar: Grammar): void {
  const { rules, repeated } = grammar;
  const canBeEmpty = emptyRules(rules);
  if (repeated.some((item) => item.every((element) => element.type === 'rule' && canBeEmpty[element.rule]))) {
    throw new GrammarFault("what can be empty is repeated many times. Repeat what can't be");
  }
  const beginnings = beginningsOf(rules, canBeEmpty);
  const depths = new Array<number>(rules.length).fill(0);
  const visits = new Array<number>(rules.length).fill(0);
  const UNDER_WAY = -1;
  let total = 0;
  for (let start = 0; start < rules.length; start++) {
    const path: { rule: number; next: number }[] = [{ rule: start, next: 0 }];
    while (path.length > 0) {
      const { rule, next } = path.at(-1) as { rule: number; next: number };
      const begins = beginnings[rule] as number[];
      if (next === 0) {
        if ((visits[rule] as number) > 0) {
          path.pop();
          continue;
        }
        depths[rule] = UNDER_WAY;
      }
      const first = begins[next];
      if (first !== undefined) {
        (path.at(-1) as { next: number }).next++;
        if (depths[first] === UNDER_WAY) throw leftRecursion(rules[first]?.name ?? '');
        path.push({ rule: first, next: 0 });
        continue;
      }
      depths[rule] = 1 + begins.reduce((most, first) => Math.max(most, depths[first] as number), 0);
      visits[rule] = 1 + begins.reduce((sum, first) => sum + (visits[first] as number), 0);
      total += visits[rule];
      if (depths[rule] > MAX_CHAIN) {
        throw new GrammarFault(
          `more than ${MAX_CHAIN} rules begin with one another, from '${rules[rule]?.name}' on. Nest fewer`,
        );
      }
      if (total > MAX_VISITS) {
        throw new GrammarFault(
          `the rule '${rules[rule]?.name}' can begin in too many ways. Repeat what can't be empty, and nest fewer repetitions`,
        );
      }
      path.pop();
    }
  }
}

function leftRecursion(name: string): GrammarFault {
  return new GrammarFault(
    `left recursion: the rule '${name}' can begin with itself, or repeats what can be empty. Put a character before it`,
  );
}

/** For each rule, those that it can begin with, as often as it does. */
function beginningsOf(rules: Rule[], canBeEmpty: boolean[]): number[][] {
  return rules.map(({ alternatives }) => {
    const begins: number[] = [];
    for (const alternative of alternatives) {
      for (const element of alternative) {
        if (element.type !== 'rule') break;
        begins.push(element.rule);
        if (!canBeEmpty[element.rule]) break;
      }
    }
    return begins;
  });
}

function emptyRules(rules: Rule[]): boolean[] {
  const canBeEmpty = new Array<boolean>(rules.length).fill(false);
  /** For each rule, those that are only other rules' and hold it. */
  const users = rules.map((): number[] => []);
  for (const [index, { alternatives }] of rules.entries()) {
    for (const alternative of alternatives) {
      if (!alternative.every(({ type }) => type === 'rule')) continue;
      for (const element of alternative) if (element.type === 'rule') users[element.rule]?.push(index);
    }
  }
  const todo = [...rules.keys()];
  for (let rule = todo.pop(); rule !== undefined; rule = todo.pop()) {
    if (canBeEmpty[rule]) continue;
    canBeEmpty[rule] = (rules[rule]?.alternatives ?? []).some((alternative) =>
      alternative.every((element) => element.type === 'rule' && canBeEmpty[element.rule]),
    );
    if (canBeEmpty[rule]) todo.push(...(users[rule] as number[]));
  }
  return canBeEmpty;
}

// --- ways to go on -------------------------------------------------------------------------------------------------

/**
 * A place in a rule, and where to go on after it: llama.cpp's stack, as a list that shares its end with others. The same
 * stack is the same object.
 */
export interface Way {
  sequence: readonly Element[];
  index: number;
  rest: Way | undefined;
  depth: number;
}

/** Follows a grammar as llama.cpp does: all ways at once, each at a character or at the end (undefined). */
export class GrammarWalk {
  readonly #grammar: Grammar;
  readonly #known = new Map<Way | undefined, Map<readonly Element[], Way[]>>();
  /** Steps taken between characters. */
  expansions = 0;

  constructor(grammar: Grammar) {
    this.#grammar = grammar;
  }

  start(rule = this.#grammar.root): (Way | undefined)[] {
    const alternatives = this.#grammar.rules[rule]?.alternatives ?? [];
    return this.#expand(alternatives.map((sequence) => this.#way(sequence, 0, undefined)));
  }

  after(ways: readonly (Way | undefined)[], character: number): (Way | undefined)[] {
    const next: (Way | undefined)[] = [];
    this.expansions += ways.length;
    for (const way of ways) {
      if (way === undefined || !takes(way, character)) continue;
      next.push(this.#way(way.sequence, way.index + 1, way.rest));
    }
    return this.#expand(next);
  }

  #expand(todo: (Way | undefined)[]): (Way | undefined)[] {
    const seen = new Set<Way | undefined>();
    const ways: (Way | undefined)[] = [];
    while (todo.length > 0) {
      const next = todo.pop();
      if (seen.has(next)) continue;
      seen.add(next);
      this.expansions++;
      if (seen.size > MAX_EXPANSIONS) throw tooManyWays();
      const element = next?.sequence[next.index];
      if (next === undefined || element === undefined || element.type !== 'rule') {
        ways.push(next);
        continue;
      }
      const rest = this.#way(next.sequence, next.index + 1, next.rest);
      for (const sequence of this.#grammar.rules[element.rule]?.alternatives ?? []) {
        todo.push(this.#way(sequence, 0, rest));
      }
    }
    return ways;
  }

  /** At the end of a sequence, what comes after it. */
  #way(sequence: readonly Element[], index: number, rest: Way | undefined): Way | undefined {
    if (index >= sequence.length) return rest;
    const bySequence = this.#known.get(rest) ?? new Map<readonly Element[], Way[]>();
    this.#known.set(rest, bySequence);
    const byIndex = bySequence.get(sequence) ?? [];
    bySequence.set(sequence, byIndex);
    byIndex[index] ??= { sequence, index, rest, depth: (rest?.depth ?? 0) + 1 };
    return byIndex[index];
  }
}

function takes({ sequence, index }: Way, character: number): boolean {
  const element = sequence[index];
  return element?.type === 'characters' && contains(element.set, character);
}

/**
 * Goes where the ways multiply, if they do: where there are most of them; the same without spaces, which most grammars allow
 * between the places that do; and where it has been least, as more ways can come of the fewer. From the beginning, and from
 * each rule that nests, as what comes before it can lead elsewhere.
 */
function checkWays(grammar: Grammar): void {
  followMost(grammar, grammar.root, { skipped: '', expansions: MAX_TRIED_EXPANSIONS });
  let left = MAX_TRIED_EXPANSIONS;
  const follow = (from: number, taken?: Map<number, number>) => {
    const expansions = Math.min(left, MAX_TRIED_EXPANSIONS / 4);
    left -= followMost(grammar, from, { skipped: SPACES, expansions, taken });
  };
  for (const rule of new Set([grammar.root, ...nestingRules(grammar)])) {
    follow(rule);
    const taken = new Map<number, number>();
    for (let round = 0; round < VARIED_ROUNDS; round++) follow(rule, taken);
  }
}

/** Rules within themselves, in other places than their end, as repetitions are: one of each circle at least. */
function nestingRules({ rules, root }: Grammar): number[] {
  const nesting = new Set<number>();
  const seen = new Set<number>();
  const open = new Set<number>();
  const path = [{ rule: root, parts: partsOf(rules[root]) }];
  open.add(root);
  while (path.length > 0 && nesting.size < MAX_NESTING_RULES) {
    const { rule, parts } = path.at(-1) as { rule: number; parts: { rule: number; isLast: boolean }[] };
    const part = parts.pop();
    if (part === undefined) {
      path.pop();
      open.delete(rule);
    } else if (open.has(part.rule)) {
      if (part.rule !== rule || !part.isLast) nesting.add(part.rule);
    } else if (!seen.has(part.rule)) {
      path.push({ rule: part.rule, parts: partsOf(rules[part.rule]) });
      open.add(part.rule);
    }
    seen.add(rule);
  }
  return [...nesting];
}

function partsOf(rule: Rule | undefined): { rule: number; isLast: boolean }[] {
  return (rule?.alternatives ?? []).flatMap((sequence) =>
    sequence.flatMap((element, index) =>
      element.type === 'rule' ? [{ rule: element.rule, isLast: index === sequence.length - 1 }] : [],
    ),
  );
}

interface Following {
  /** Characters that are taken only where there are no others. */
  skipped: string;
  /** Steps after which it is left. */
  expansions: number;
  /** Given, the characters that it holds least often are taken, and counted in it. */
  taken?: Map<number, number> | undefined;
}

/** @returns Steps that it took. */
function followMost(grammar: Grammar, from: number, { skipped, expansions, taken }: Following): number {
  const walk = new GrammarWalk(grammar);
  const timesTaken = (character: number) => taken?.get(character) ?? 0;
  let ways = walk.start(from);
  let record = 0;
  let recordAt = 0;
  for (let tried = 0; tried < TRIED_CHARACTERS && walk.expansions < expansions; tried++) {
    if (ways.length > MAX_WAYS) throw tooManyWays();
    if (ways.length > record) [record, recordAt] = [ways.length, tried];
    if (tried - recordAt > QUIET_CHARACTERS) break;
    let most: { ways: (Way | undefined)[]; depth: number; character: number } | undefined;
    const characters = charactersAt(ways, skipped);
    const least = Math.min(...characters.map(timesTaken));
    for (const character of characters) {
      if (timesTaken(character) > least) continue;
      const next = walk.after(ways, character);
      const depth = next.reduce((sum, way) => sum + (way?.depth ?? 0), 0);
      // Of as many, the deeper: where a rule is within itself, so are its ways.
      const isMore = most === undefined || next.length > most.ways.length;
      if (isMore || (next.length === most?.ways.length && depth > most.depth)) most = { ways: next, depth, character };
    }
    if (most === undefined) break;
    taken?.set(most.character, timesTaken(most.character) + 1);
    ways = most.ways;
  }
  return walk.expansions;
}

/** One of each kind of place, those first that most ways are at; none that is skipped, if there are others. */
function charactersAt(ways: readonly (Way | undefined)[], skipped: string): number[] {
  const counts = new Map<number, number>();
  for (const way of ways) {
    const element = way?.sequence[way.index];
    if (element?.type !== 'characters') continue;
    // Of sets that overlap, the end of one is in more of the others than its beginning, or the other way round.
    for (const character of element.set[0] ?? []) counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  const byCount = [...counts].sort(([, a], [, b]) => b - a);
  const characters = byCount.map(([character]) => character);
  const others = characters.filter((character) => !skipped.includes(String.fromCodePoint(character)));
  return (others.length > 0 ? others : characters).slice(0, TRIED_AT_ONCE);
}

function tooManyWays(): GrammarFault {
  return new GrammarFault(
    `there are more than ${MAX_WAYS} ways to go on after the same text. Let alternatives begin differently, and don't repeat repetitions`,
  );
}
