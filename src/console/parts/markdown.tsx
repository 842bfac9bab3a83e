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

/** By whether the end of a line is one where it is shown, too. */
const readers = { lines: new Marked({ gfm: true, breaks: true }), flowing: new Marked({ gfm: true }) };

/** How a text is read, and what it may do to the page around it. */
export interface Surroundings {
  /** `lines` where a line ends with its line, as models write; `flowing` where a paragraph does, as files are written. */
  breaks: keyof typeof readers;
  /** Level of a heading of the first level. */
  topHeading: number;
  /** A heading's id; undefined for none. */
  headingId(text: string): string | undefined;
  /** Where a link leads; null for nowhere. */
  link(href: string): string | null;
  /** Address of an image; null if it may not be loaded. */
  image(href: string): string | null;
}

/** For what a model writes. */
const MODELS_TEXT: Surroundings = {
  breaks: 'lines',
  // The page uses the first two levels itself.
  topHeading: 3,
  headingId: () => undefined,
  link: (href) => (/^(?:https?:|mailto:)/i.test(href) ? href : null),
  // Their address could carry parts of this chat to another server.
  image: () => null,
};

interface Props {
  text: string;
  /** Whether the end of `text` is missing, because it is still to come or was cut off. */
  unfinished: boolean;
  /** Default: those of what a model writes. */
  surroundings?: Surroundings;
}

export function Markdown({ text, unfinished, surroundings = MODELS_TEXT }: Props): JSX.Element {
  const tokens = useMemo(
    () => readMarkdown(text, unfinished, surroundings.breaks),
    [text, unfinished, surroundings.breaks],
  );
  const references = Object.keys(tokens.links).length;
  return (
    <div class="markdown">
      {tokens.map((token, index) => (
        // Blocks are only ever appended, so the index identifies a block.
        <Block key={index} token={token} references={references} surroundings={surroundings} />
      ))}
    </div>
  );
}

export function readMarkdown(text: string, unfinished: boolean, breaks: keyof typeof readers = 'lines'): TokensList {
  return readers[breaks].lexer(unfinished ? settle(text) : text);
}

interface BlockProps {
  token: Token;
  references: number;
  surroundings: Surroundings;
}

/** Renders a block again only when its own text has changed, or when a link's target has appeared further down. */
function Block({ token, references, surroundings }: BlockProps): JSX.Element {
  // Compared by text, because each reading makes new token objects.
  return useMemo(
    () => <>{renderToken(token as MarkedToken, surroundings)}</>,
    [token.type, token.raw, references, surroundings],
  );
}

function renderTokens(tokens: readonly Token[], around: Surroundings): ComponentChildren {
  return tokens.map((token) => renderToken(token as MarkedToken, around));
}

export function renderToken(token: MarkedToken, around: Surroundings = MODELS_TEXT): ComponentChildren {
  switch (token.type) {
    case 'paragraph':
      return <p>{renderTokens(token.tokens, around)}</p>;
    case 'text':
      return token.tokens ? renderTokens(token.tokens, around) : decodeEntities(token.text);
    case 'escape':
      return token.text;
    case 'strong':
      return <strong>{renderTokens(token.tokens, around)}</strong>;
    case 'em':
      return <em>{renderTokens(token.tokens, around)}</em>;
    case 'del':
      return <del>{renderTokens(token.tokens, around)}</del>;
    case 'codespan':
      return <code>{token.text}</code>;
    case 'br':
      return <br />;
    case 'link':
      return renderLink(token.href, renderTokens(token.tokens, around), around);
    case 'image': {
      const address = around.image(token.href);
      if (address !== null) return <img src={address} alt={token.text} />;
      return renderLink(token.href, token.text || token.href, around);
    }
    case 'heading': {
      const Heading = `h${Math.min(6, token.depth + around.topHeading - 1)}` as 'h3';
      return <Heading id={around.headingId(token.text)}>{renderTokens(token.tokens, around)}</Heading>;
    }
    case 'code':
      return <CodeBlock code={token.text} language={token.lang?.match(/^\S+/)?.[0] ?? ''} />;
    case 'blockquote':
      return <blockquote>{renderTokens(token.tokens, around)}</blockquote>;
    case 'list':
      return renderList(token, around);
    case 'checkbox':
      return <input type="checkbox" checked={token.checked} disabled />;
    case 'table':
      return renderTable(token, around);
    case 'hr':
      return <hr />;
    case 'html':
      // Models use this to break lines in table cells. All other tags are shown as text.
      return /^<br\s*\/?>$/i.test(token.raw) ? <br /> : token.block ? <p>{token.raw.trimEnd()}</p> : token.raw;
    case 'space':
    case 'def':
      return null;
    case 'list_item':
      return renderTokens(token.tokens, around);
  }
}

function renderLink(href: string, children: ComponentChildren, around: Surroundings): ComponentChildren {
  const target = around.link(href);
  if (target === null) return children;
  if (target.startsWith('#')) return <a href={target}>{children}</a>;
  return (
    <a href={target} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

function renderList({ ordered, start, items }: Tokens.List, around: Surroundings): JSX.Element {
  const children = items.map((item, index) => (
    <li key={index} class={item.task ? 'task' : undefined}>
      {renderItem(item, around)}
    </li>
  ));
  return ordered ? <ol start={start === '' ? 1 : start}>{children}</ol> : <ul>{children}</ul>;
}

/** Makes paragraphs only of an item that has several: otherwise a list that turns "loose" while it grows would shift its items. */
function renderItem({ tokens }: Tokens.ListItem, around: Surroundings): ComponentChildren {
  const several = tokens.filter(isText).length > 1;
  return tokens.map((token) => {
    if (!isText(token)) return renderToken(token as MarkedToken, around);
    const text = renderTokens(token.tokens ?? [], around);
    return several ? <p>{text}</p> : text;
  });
}

function isText(token: Token): token is Tokens.Text | Tokens.Paragraph {
  return token.type === 'text' || token.type === 'paragraph';
}

function renderTable({ header, rows }: Tokens.Table, around: Surroundings): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="table" aria-label="Table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {header.map((cell, index) => (
              <th key={index} class={cell.align ?? undefined} scope="col">
                {renderTokens(cell.tokens, around)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column} class={cell.align ?? undefined}>
                  {renderTokens(cell.tokens, around)}
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
