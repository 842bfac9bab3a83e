/** Code in colours. highlight.js names the parts of a text, which become elements: no HTML is made of it. */
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import markdown from 'highlight.js/lib/languages/markdown';
import python from 'highlight.js/lib/languages/python';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import { createLowlight } from 'lowlight';

const lowlight = createLowlight({
  bash,
  c,
  cpp,
  css,
  diff,
  go,
  java,
  javascript,
  json,
  markdown,
  python,
  rust,
  sql,
  typescript,
  xml,
  yaml,
});

/** Characters. It is read anew for each frame of a growing answer: beyond this it would be felt. */
const MAX_LENGTH = 20_000;

export interface Span {
  text: string;
  /** highlight.js's classes, `hljs-keyword` and the like; empty for plain text. */
  class: string;
}

/** The code in parts, whose texts together are the code. In a language that isn't known it is one part. */
export function highlight(code: string, language: string): Span[] {
  const name = language.toLowerCase();
  if (code.length > MAX_LENGTH || !lowlight.registered(name)) return [{ text: code, class: '' }];
  return flatten(lowlight.highlight(name, code).children, '');
}

type Nodes = ReturnType<typeof lowlight.highlight>['children'];

/** A part within a part has the inner one's class: colours don't mix. */
function flatten(nodes: Nodes, outer: string): Span[] {
  return nodes.flatMap((node) => {
    if (node.type === 'text') return [{ text: node.value, class: outer }];
    if (node.type !== 'element') return [];
    const { className } = node.properties;
    const own = Array.isArray(className) ? className.join(' ') : '';
    return flatten(node.children as Nodes, own || outer);
  });
}
