/**
 * The engine renders a template only on the way to computing the prompt, so only what fits the context. Of a longer chat
 * the long texts are cut out, a mark in the place of each, and put back where the marks are in what was rendered.
 */
import type { Json } from '../../engine/engine.ts';
import { isObject } from '../http/json.ts';

/** Fields of messages and tools that templates write out. */
const WRITTEN = ['content', 'text', 'reasoning_content', 'description'];

/** Characters from which on a text is worth a mark, which takes some twenty tokens. */
const MIN_LENGTH = 256;
/** Of each end, which templates trim and look at. */
const KEPT = 32;
/** What templates look for within a text: the end of thoughts, a tool's answer. */
const TAG = /(<\/?[a-z_|][^<>\n]{0,40}>|\[\/?[A-Z_]{2,20}\])/i;

/** Shows in what was rendered how the template writes a text. */
const PROBE = '\n"é<';
const WRITINGS: ((text: string) => string)[] = [(text) => text, inJson, (text) => toAscii(inJson(text))];

export interface Elided {
  body: Json;
  /** The prompt with the texts in their places; null if the template does something else with them than to write them. */
  restore: (prompt: string) => string | null;
}

/** @returns null if there is nothing to cut out. */
export function elide(body: Json): Elided | null {
  const cut: string[] = [];
  const mark = (text: string) => {
    const id = cut.push(text) - 1;
    return `zq${id}a${PROBE}b${id}qz`;
  };
  const shorten = (text: string) =>
    text
      .split(TAG)
      .map((part) => shortenPart(part, mark))
      .join('');
  const { messages, tools } = walk({ messages: body.messages, tools: body.tools }, shorten) as Json;
  if (cut.length === 0) return null;
  return {
    body: { ...body, messages, ...(tools === undefined ? {} : { tools }) },
    restore(prompt) {
      let whole = true;
      const restored = prompt.replaceAll(/zq(\d+)a([\s\S]{0,40}?)b\1qz/g, (_, id: string, probe: string) => {
        const write = WRITINGS.find((writing) => writing(PROBE) === probe);
        whole &&= write !== undefined;
        return write?.(cut[Number(id)] ?? '') ?? '';
      });
      return whole && !/zq\d+a|b\d+qz/i.test(restored) ? restored : null;
    },
  };
}

function shortenPart(text: string, mark: (text: string) => string): string {
  if (text.length < MIN_LENGTH) return text;
  // In whole characters.
  const [, start = '', middle = '', end = ''] = CUT.exec(text) ?? [];
  return middle === '' ? text : `${start}${mark(middle)}${end}`;
}

/** White space at the ends belongs to them, however much it is: templates trim it. */
const CUT = new RegExp(`^(\\s*.{${KEPT}})(.*)(.{${KEPT}}\\s*)$`, 'su');

function walk(value: unknown, shorten: (text: string) => string): unknown {
  if (Array.isArray(value)) return value.map((entry) => walk(entry, shorten));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [
      key,
      typeof entry === 'string' && WRITTEN.includes(key) ? shorten(entry) : walk(entry, shorten),
    ]),
  );
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function toAscii(text: string): string {
  return text.replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
