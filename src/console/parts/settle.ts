/**
 * Makes Markdown presentable while it is still being written: text that may yet turn into something else is held back, and
 * whatever is open is closed, so that an answer only ever grows. `**bo` shows as bold at once, `| a | b |` waits until it is a
 * table, and `text\n-` does not flash up as a heading before it becomes a list.
 */
export function settle(markdown: string): string {
  const { fence, lastLine, afterFence } = scanFences(markdown);
  const tail = markdown.slice(lastLine);
  if (fence !== null) {
    // The line that opens a code block is held back until it ends, since it names the language; so is one that may close it.
    const isFence = lastLine <= fence.start || isPartialFence(tail, fence.marker);
    return isFence ? markdown.slice(0, lastLine) : markdown;
  }
  if (lastLine < afterFence) return markdown;
  const whole = dropMarkerLine(markdown);
  const block = Math.max(afterFence, lastBlock(whole));
  if (isTableHead(whole.slice(block))) return whole.slice(0, block);
  // Once more: what was held back may have been all the text after the marker of a list or task.
  return dropMarkerLine(whole.slice(0, block) + closeInline(whole.slice(block)));
}

function dropMarkerLine(markdown: string): string {
  const lastLine = markdown.lastIndexOf('\n') + 1;
  return MARKER_ONLY.test(markdown.slice(lastLine)) ? markdown.slice(0, lastLine) : markdown;
}

const FENCE = /^[\s>]*(?:(?:[-*+]|\d+[.)])\s+)?(`{3,}|~{3,})/;

/** A last line that is only the start of a list, heading, rule, quote, task, or code block. */
const MARKER_ONLY =
  /^[\s>]*(?:[-*+](?: \[[ xX]?\]?)?|\d{1,9}[.)]?(?: \[[ xX]?\]?)?|#{1,6}|[-=_*]{2,}|[-*_](?: [-*_])+|`{1,3}|~{1,3})?\s*$/;

interface Fences {
  /** The code block that is still open at the end, if any. */
  fence: { start: number; marker: string } | null;
  /** Where the last line starts. */
  lastLine: number;
  /** Where the last closed code block ends. */
  afterFence: number;
}

function scanFences(markdown: string): Fences {
  let fence: Fences['fence'] = null;
  let afterFence = 0;
  let start = 0;
  for (;;) {
    const end = markdown.indexOf('\n', start);
    const line = markdown.slice(start, end === -1 ? undefined : end);
    const marker = FENCE.exec(line)?.[1];
    if (marker !== undefined) {
      if (fence === null) fence = { start, marker };
      else if (marker.startsWith(fence.marker) && line.trim() === marker) {
        fence = null;
        afterFence = start + line.length;
      }
    }
    if (end === -1) return { fence, lastLine: start, afterFence };
    start = end + 1;
  }
}

/** Whether a line in a code block may be the beginning of its closing fence. */
function isPartialFence(line: string, marker: string): boolean {
  const trimmed = line.trim();
  return trimmed !== '' && marker.startsWith(trimmed);
}

/** Where the last paragraph, list item, heading, quote or table starts, since emphasis doesn't extend across them. */
function lastBlock(markdown: string): number {
  let start = markdown.length;
  let inTable: boolean | null = null;
  while (start > 0) {
    const previous = markdown.lastIndexOf('\n', start - 2) + 1;
    const line = markdown.slice(previous, start);
    const isRow = line.trimStart().startsWith('|');
    if (line.trim() === '' || (inTable !== null && isRow !== inTable)) return start;
    inTable = isRow;
    start = previous;
    if (/^[\s>]*(?:[-*+]|\d+[.)]|#{1,6})\s/.test(line)) return start;
  }
  return start;
}

/** Whether a table has begun, but not yet its third line: it takes the line of dashes to make it a table. */
function isTableHead(block: string): boolean {
  return block.trimStart().startsWith('|') && block.split('\n').length <= 2;
}

/** The most text that is held back because it may become a link. */
const LINK_TEXT_LIMIT = 100;
const LINK_URL_LIMIT = 500;

/** Closes what is open in a paragraph: emphasis, code, strikethrough. Cuts off an unfinished link, image, tag or entity. */
function closeInline(text: string): string {
  const open: string[] = [];
  let end = text.length;
  let index = 0;
  while (index < end) {
    const character = text.charAt(index);
    if (character === '\\') {
      if (index + 1 === end) end = index;
      index += 2;
    } else if (character === '`') {
      const run = runLength(text, index);
      const close = findRun(text, index + run, run);
      if (close === -1) {
        const code = text.slice(index + run, end);
        if (code.trim() === '') end = index;
        // A run at the very end that is shorter than the opening one is part of the closing one.
        else return closeAll(`${text.slice(0, end).replace(/`+$/, '')}${'`'.repeat(run)}`, open);
        break;
      }
      index = close + run;
    } else if (character === '*' || character === '_' || character === '~') {
      const run = runLength(text, index);
      if (index + run >= end) {
        end = closeAtEnd(character, run, open, index);
        break;
      }
      toggle(open, character, run, text.charAt(index - 1), text.charAt(index + run));
      index += run;
    } else if (character === '[') {
      const after = endOfLink(text, index);
      if (after === null) {
        end = text.charAt(index - 1) === '!' ? index - 1 : index;
        break;
      }
      index = after;
    } else index++;
  }
  const kept = text
    .slice(0, end)
    .replace(/(?:<\/?[a-z]{0,4}\s*\/?|&#?\w{0,8})$/i, '')
    .replace(/(^|\s)!$/, '$1');
  return closeAll(kept, open);
}

function runLength(text: string, index: number): number {
  let end = index;
  while (text[end] === text[index]) end++;
  return end - index;
}

/** Where a run of exactly `length` backquotes starts, or -1. */
function findRun(text: string, from: number, length: number): number {
  for (let index = text.indexOf('`', from); index !== -1; ) {
    const run = runLength(text, index);
    if (run === length) return index;
    index = text.indexOf('`', index + run);
  }
  return -1;
}

/** Opens or closes emphasis by the delimiters' neighbours, as CommonMark's flanking rules do in all but rare cases. */
function toggle(open: string[], character: string, run: number, before: string, after: string): void {
  const inWord = character === '_' && /\w/.test(before) && /\w/.test(after);
  const canOpen = /\S/.test(after) && !inWord;
  const canClose = /\S/.test(before) && !inWord;
  let left = run;
  while (left > 0) {
    const last = open.at(-1);
    if (canClose && last?.startsWith(character) && last.length <= left) {
      open.pop();
      left -= last.length;
    } else if (canOpen && (character !== '~' || left >= 2)) {
      const opened = left >= 2 ? 2 : 1;
      open.push(character.repeat(opened));
      left -= opened;
    } else return;
  }
}

/** Lets a run of delimiters at the very end close what it can; the rest is held back. Returns where to cut. */
function closeAtEnd(character: string, run: number, open: string[], index: number): number {
  let left = run;
  while (left > 0) {
    const last = open.at(-1);
    if (!last?.startsWith(character) || last.length > left) break;
    open.pop();
    left -= last.length;
  }
  return index + run - left;
}

/** The index after a link, or after its opening bracket if it can't be a link; null while it may still become one. */
function endOfLink(text: string, start: number): number | null {
  const close = text.indexOf(']', start);
  if (close === -1) return text.length - start > LINK_TEXT_LIMIT ? start + 1 : null;
  if (close === text.length - 1) return null;
  if (text.charAt(close + 1) !== '(') return start + 1;
  const end = text.indexOf(')', close);
  if (end === -1) return text.length - close > LINK_URL_LIMIT ? start + 1 : null;
  return end + 1;
}

/** Adds the closing delimiters, before any trailing space, since they must follow text. Emphasis around nothing is dropped. */
function closeAll(text: string, open: string[]): string {
  let kept = text.trimEnd();
  const space = text.slice(kept.length);
  const pending = [...open];
  while (pending.length > 0 && kept.endsWith(pending.at(-1) as string)) {
    kept = kept.slice(0, -(pending.pop() as string).length).trimEnd();
  }
  return kept + pending.reverse().join('') + (pending.length > 0 || open.length === 0 ? space : '');
}
