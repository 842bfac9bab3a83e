import type { MarkedToken } from 'marked';
import type { ComponentChildren, VNode } from 'preact';
import { expect, it } from 'vitest';
import { readMarkdown, renderToken } from './markdown.tsx';

/** The elements as text in brackets: `<p>a<br></p>`. Text stands as the browser would show it. */
function show(node: ComponentChildren): string {
  if (Array.isArray(node)) return node.map(show).join('');
  if (node === null || node === undefined || typeof node === 'boolean') return '';
  if (typeof node !== 'object') return String(node);
  const { type, props } = node as VNode<Record<string, unknown>>;
  const { children, ...attributes } = props;
  const shown = Object.entries(attributes).filter(([, value]) => value !== undefined);
  const name = typeof type === 'string' ? type : type.name;
  return `<${[name, ...shown.map(([key, value]) => `${key}=${JSON.stringify(value)}`)].join(' ')}>${show(children as ComponentChildren)}</>`;
}

function render(text: string, growing = false): string {
  return show(readMarkdown(text, growing).map((token) => renderToken(token as MarkedToken)));
}

it('renders emphasis, code and line breaks', () => {
  expect(render('a **b** *c* ~~d~~ `e<`\nf')).toBe('<p>a <strong>b</> <em>c</> <del>d</> <code>e<</><br></>f</>');
});

it('renders nothing that is HTML as elements', () => {
  expect(render('<img src=x onerror=alert(1)> <b>x</b>')).toBe('<p><img src=x onerror=alert(1)> <b>x</b></>');
  expect(render('<script>alert(1)</script>')).toBe('<p><script>alert(1)</script></>');
  expect(render('a<br>b')).toBe('<p>a<br></>b</>');
  expect(render('&lt;b&gt; &amp; &#65; &#x1F999; &nope; &constructor; &#0; &amp;lt;')).toBe(
    '<p><b> & A 🦙 &nope; &constructor; \ufffd &lt;</>',
  );
});

it('links to the web and to mail only, in another tab', () => {
  const attributes = 'target="_blank" rel="noopener noreferrer"';
  expect(render('[x](https://a.b/c)')).toBe(`<p><a href="https://a.b/c" ${attributes}>x</></>`);
  expect(render('[x](javascript:alert(1)) [y](data:text/html,z) [z](/local)')).toBe('<p>x y z</>');
  expect(render('[x](JaVaScRiPt:alert(1)) <javascript:alert(1)>')).not.toContain('href');
});

it('never loads pictures', () => {
  expect(render('![cat](https://a.b/cat.png)')).not.toContain('<img');
  expect(render('![cat](https://a.b/cat.png)')).toContain('>cat</>');
  expect(render('![cat](data:image/png;base64,xx)')).toBe('<p>cat</>');
});

it('puts code in blocks, with its language', () => {
  expect(render('```js title="x"\nlet a;\n```')).toBe('<CodeBlock code="let a;" language="js"></>');
  expect(render('```js\nlet a', true)).toBe('<CodeBlock code="let a" language="js"></>');
});

it('renders lists and tasks, tight and loose alike', () => {
  expect(render('- a\n- b')).toBe('<ul><li>a</><li>b</></>');
  expect(render('- a\n\n- b')).toBe('<ul><li>a</><li>b</></>');
  expect(render('3. a\n4. b')).toBe('<ol start=3><li>a</><li>b</></>');
  expect(render('- [x] a')).toBe('<ul><li class="task"><input type="checkbox" checked=true disabled=true></>a</></>');
});

it('renders tables with their alignment', () => {
  expect(render('|a|b|\n|-|-:|\n|1|**2**|')).toContain('<tbody><tr><td>1</><td class="right"><strong>2</></></></>');
});

it("keeps below the page's own headings", () => {
  expect(render('# a\n\n###### b')).toBe('<h3>a</><h6>b</>');
});
