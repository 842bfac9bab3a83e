import { Marked, type Token } from 'marked';
import { describe, expect, it } from 'vitest';
import { settle } from './settle.ts';

const marked = new Marked({ gfm: true, breaks: true });

/** What a reader sees: each block with its kind, and its text without any markup or space. */
function visible(markdown: string): string {
  const show = (tokens: Token[]): string => tokens.map(showToken).join('');
  const showToken = (token: Token): string => {
    if (token.type === 'table') {
      const cells = [...token.header, ...token.rows.flat()] as { tokens: Token[] }[];
      return `<table>${cells.map((cell) => show(cell.tokens)).join('')}`;
    }
    if (token.type === 'list') return `<list>${show(token.items)}`;
    if (token.type === 'heading') return `<h${token.depth}>${show(token.tokens ?? [])}`;
    if (token.type === 'code') return `<code ${token.lang ?? ''}>${token.text}`;
    if (token.type === 'checkbox') return token.checked ? '☑' : '☐';
    if ('tokens' in token && token.tokens) return show(token.tokens);
    if (token.type === 'space' || token.type === 'hr') return '';
    return 'text' in token ? token.text : token.raw;
  };
  return show(marked.lexer(markdown)).replace(/\s+/g, '');
}

const documents: Record<string, string> = {
  emphasis: 'A **bold** word, an *italic* one, ***both***, ~~gone~~, and `code *as is*` with ``a ` tick``.\n\nEnd.',
  snake: 'Call `my_func` or my_other_func, then _this_ and 2 * 3 * 4.',
  headings: '# One\n\nText under it.\n\n## Two **bold**\nMore text.\n\n---\n\nLast.',
  lists: 'Some text:\n- one\n- **two**: with `code`\n  - nested\n- three\n\nThen:\n\n1. first\n2. second\n10. tenth\n',
  stars: 'Text\n* one\n* two *em*\n\n* loose\n',
  tasks: 'Do:\n- [ ] open\n- [x] **closed**\n',
  links: 'See [the docs](https://example.com/a_b_c "t") and [1] or a[0] and https://example.com/x_y. Done!',
  image: 'Look: ![a cat](https://example.com/cat.png) nice.',
  code: 'Run:\n\n```python\ndef f(x):\n    """Doc `x`."""\n    return x * 2  # **no**\n```\n\nAnd:\n~~~\n``\n~~~\nEnd.',
  codeInList: '1. Do this:\n   ```bash\n   ls *.txt\n   ```\n2. Then that.\n',
  table: 'Here:\n\n| a | **b** |\n|---|:-:|\n| 1 | `2` |\n| 3 | *4* |\n\nAfter.',
  tableAfterText: 'Here:\n| a | b |\n| --- | --- |\n| x<br>y | AT&amp;T |\n',
  quote: '> Quoted **text**\n> goes on\n\nDone.',
  escapes: 'Not \\*emphasis\\* and not \\`code\\`.',
};

describe('settle', () => {
  for (const [name, markdown] of Object.entries(documents)) {
    it(`only ever grows: ${name}`, () => {
      const whole = visible(markdown);
      for (let end = 0; end <= markdown.length; end++) {
        const shown = visible(settle(markdown.slice(0, end)));
        expect(whole.startsWith(shown), `after ${JSON.stringify(markdown.slice(0, end))}: ${shown}`).toBe(true);
      }
    });

    it(`leaves nothing back for long: ${name}`, () => {
      const missing = visible(`${markdown}\n\n`).length - visible(settle(`${markdown}\n\n`)).length;
      expect(missing).toBe(0);
    });
  }

  it('shows emphasis and code before they are closed', () => {
    expect(settle('a **bo')).toBe('a **bo**');
    expect(settle('a **bold *and it')).toBe('a **bold *and it***');
    expect(settle('a `co')).toBe('a `co`');
    expect(settle('a **bold ')).toBe('a **bold** ');
    expect(settle('a **bold*')).toBe('a **bold**');
    expect(settle('a **')).toBe('a ');
  });

  it('gives up on links that never end', () => {
    expect(settle(`see [${'x'.repeat(40)}`)).toBe('see ');
    expect(settle(`see [${'x'.repeat(200)}`)).toContain('xxx');
  });

  it('keeps up with a long answer', () => {
    const long = 'A paragraph with **bold** text.\n\n'.repeat(2000);
    expect(settle(`${long}and **more`)).toBe(`${long}and **more**`);
  });
});
