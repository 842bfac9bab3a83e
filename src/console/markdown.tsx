/**
 * Renders Markdown. Each token that marked finds becomes a Preact element: a model's text is never parsed as HTML, so there is
 * nothing to sanitise, and while an answer grows, only the elements that grow are rendered again.
 */
import { Marked, type MarkedToken, type Token, type Tokens, type TokensList } from 'marked';
import type { ComponentChildren, JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { CodeBlock } from './code-block.tsx';
import { settle } from './settle.ts';
import './markdown.css';

const marked = new Marked({ gfm: true, breaks: true });

/** @param props.unfinished whether the end of `text` is missing, because it is still to come or was cut off */
export function Markdown({ text, unfinished }: { text: string; unfinished: boolean }): JSX.Element {
  const tokens = useMemo(() => readMarkdown(text, unfinished), [text, unfinished]);
  const references = Object.keys(tokens.links).length;
  return (
    <div class="markdown">
      {tokens.map((token, index) => (
        // Blocks are only ever appended, so the index identifies a block.
        <Block key={index} token={token} references={references} />
      ))}
    </div>
  );
}

export function readMarkdown(text: string, unfinished: boolean): TokensList {
  return marked.lexer(unfinished ? settle(text) : text);
}

/** Renders a block again only when its own text has changed, or when a link's target has appeared further down. */
function Block({ token, references }: { token: Token; references: number }): JSX.Element {
  // Compared by text, because each reading makes new token objects.
  return useMemo(() => <>{renderToken(token as MarkedToken)}</>, [token.type, token.raw, references]);
}

function renderTokens(tokens: readonly Token[]): ComponentChildren {
  return tokens.map((token) => renderToken(token as MarkedToken));
}

export function renderToken(token: MarkedToken): ComponentChildren {
  switch (token.type) {
    case 'paragraph':
      return <p>{renderTokens(token.tokens)}</p>;
    case 'text':
      return token.tokens ? renderTokens(token.tokens) : decodeEntities(token.text);
    case 'escape':
      return token.text;
    case 'strong':
      return <strong>{renderTokens(token.tokens)}</strong>;
    case 'em':
      return <em>{renderTokens(token.tokens)}</em>;
    case 'del':
      return <del>{renderTokens(token.tokens)}</del>;
    case 'codespan':
      return <code>{token.text}</code>;
    case 'br':
      return <br />;
    case 'link':
      return renderLink(token.href, renderTokens(token.tokens));
    case 'image':
      // Images are never loaded: their address could carry parts of this chat to another server.
      return renderLink(token.href, token.text || token.href);
    case 'heading': {
      // The page uses the first two levels itself.
      const Heading = `h${Math.min(6, token.depth + 2)}` as 'h3';
      return <Heading>{renderTokens(token.tokens)}</Heading>;
    }
    case 'code':
      return <CodeBlock code={token.text} language={token.lang?.match(/^\S+/)?.[0] ?? ''} />;
    case 'blockquote':
      return <blockquote>{renderTokens(token.tokens)}</blockquote>;
    case 'list':
      return renderList(token);
    case 'checkbox':
      return <input type="checkbox" checked={token.checked} disabled />;
    case 'table':
      return renderTable(token);
    case 'hr':
      return <hr />;
    case 'html':
      // Models use this to break lines in table cells. All other tags are shown as text.
      return /^<br\s*\/?>$/i.test(token.raw) ? <br /> : token.block ? <p>{token.raw.trimEnd()}</p> : token.raw;
    case 'space':
    case 'def':
      return null;
    case 'list_item':
      return renderTokens(token.tokens);
  }
}

function renderLink(href: string, children: ComponentChildren): ComponentChildren {
  if (!/^(?:https?:|mailto:)/i.test(href)) return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

function renderList({ ordered, start, items }: Tokens.List): JSX.Element {
  const children = items.map((item, index) => (
    <li key={index} class={item.task ? 'task' : undefined}>
      {renderItem(item)}
    </li>
  ));
  return ordered ? <ol start={start === '' ? 1 : start}>{children}</ol> : <ul>{children}</ul>;
}

/** Makes paragraphs only of an item that has several: otherwise a list that turns "loose" while it grows would shift its items. */
function renderItem({ tokens }: Tokens.ListItem): ComponentChildren {
  const several = tokens.filter(isText).length > 1;
  return tokens.map((token) => {
    if (!isText(token)) return renderToken(token as MarkedToken);
    const text = renderTokens(token.tokens ?? []);
    return several ? <p>{text}</p> : text;
  });
}

function isText(token: Token): token is Tokens.Text | Tokens.Paragraph {
  return token.type === 'text' || token.type === 'paragraph';
}

function renderTable({ header, rows }: Tokens.Table): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="table" aria-label="Table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {header.map((cell, index) => (
              <th key={index} class={cell.align ?? undefined} scope="col">
                {renderTokens(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column} class={cell.align ?? undefined}>
                  {renderTokens(cell.tokens)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Entities that models write. Any other stays as it is. */
const ENTITIES: Record<string, string> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
  copy: '©',
  reg: '®',
  trade: '™',
  deg: '°',
  times: '×',
  hellip: '…',
  ndash: '–',
  mdash: '—',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  bull: '•',
  larr: '←',
  rarr: '→',
  le: '≤',
  ge: '≥',
  ne: '≠',
};

function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w+));/gi, (entity, decimal, hex, name) => {
    if (name !== undefined) return Object.hasOwn(ENTITIES, name) ? (ENTITIES[name] ?? entity) : entity;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : entity;
  });
}
