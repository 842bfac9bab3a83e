/** The documentation: Markdown files, as pages, and as the pieces that questions are looked up in. */

export interface Page {
  /** In the address: the file's name without its ending. */
  name: string;
  title: string;
  text: string;
}

export interface Heading {
  depth: number;
  /** As Markdown. */
  text: string;
  /** In the address, as GitHub makes it. */
  slug: string;
}

/** The order in which one reads them. What is not named comes last. */
const ORDER = [
  'readme',
  'getting-started',
  'api',
  'models',
  'deployment',
  'reliability',
  'performance',
  'troubleshooting',
  'compatibility',
  'device-plan',
  'engine',
  'architecture',
];

/** @param texts by path */
export function readPages(texts: Record<string, string>): Page[] {
  const place = ({ name }: Page) => (ORDER.indexOf(name) + ORDER.length + 1) % (ORDER.length + 1);
  return Object.entries(texts)
    .map(([path, text]) => {
      const name = path.replace(/^.*\/|\.md$/g, '').toLowerCase();
      const [, title = name] = /^# (.+)$/m.exec(text) ?? [];
      return { name, title: name === 'readme' ? 'Introduction' : title.replaceAll('`', ''), text };
    })
    .sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name));
}

/** A heading's address: https://github.com/gjtorikian/html-pipeline's rule, without its numbers for headings of the same text. */
export function slugOf(heading: string): string {
  return plain(heading)
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

/** Without Markdown's marks. */
export function plain(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll(/[`*]/g, '');
}

/** Characters of a piece that are shown: two lines, and more than there is room for. */
const EXCERPT = 240;

/** A piece's beginning, for people: code without its fence, lists without their dashes, of a table its cells. */
export function excerptOf({ text }: Pick<Piece, 'text'>): string {
  const words = plain(text.replaceAll(/^(?:```.*|[-|: ]+)$|^ *- /gm, ''))
    .replaceAll(/(?:\s*\|)+[\s|]*/g, ' · ')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/^[ ·]+|[ ·]+$/g, '');
  return words.length > EXCERPT ? `${words.slice(0, EXCERPT)}…` : words;
}

/** All headings of a page, those in code apart. */
export function headingsOf({ text }: Page): Heading[] {
  return [...withoutCode(text).matchAll(/^(#{1,4}) (.+)$/gm)].map(([, marks = '', text = '']) => ({
    depth: marks.length,
    text,
    slug: slugOf(text),
  }));
}

/** Blanks what is fenced, so that its places stay. */
function withoutCode(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, (code) => code.replaceAll(/[^\n]/g, ' '));
}

/** What a link in one page leads to: an address within the site, one of the web, or null for a file that is not here. */
export function resolveLink(href: string, from: string, pages: readonly Page[]): string | null {
  if (/^(?:https?:|mailto:)/i.test(href)) return href;
  const [path = '', anchor = ''] = href.split('#');
  const name =
    path === ''
      ? from
      : path
          .replace(/^(?:\.{0,2}\/)*(?:docs\/)?/, '')
          .replace(/\.md$/, '')
          .toLowerCase();
  if (!pages.some((page) => page.name === name)) return null;
  return anchor === '' ? `#${name}` : `#${name}/${anchor}`;
}

/** `#api/tools`: the page and the heading in the address. */
export function readDocsPlace(hash: string): { name: string; slug: string } {
  const [name = '', slug = ''] = decodeURIComponent(hash.slice(1)).split('/');
  return { name, slug };
}

// --- what questions are looked up in -------------------------------------------------------------------------------

export interface Piece {
  page: string;
  slug: string;
  /** The titles above it: `API › Tools`. */
  title: string;
  /** Markdown. */
  text: string;
}

/** Characters of a piece. The embedding model reads 512 tokens, and tables of names have a token for every two characters. */
const PIECE_LENGTH = 900;

/** All of the documentation in pieces, each below one heading. */
export function cutIntoPieces(pages: readonly Page[]): Piece[] {
  return pages.flatMap((page) => {
    const found = [...withoutCode(page.text).matchAll(/^(#{1,4}) (.+)$/gm)];
    return found.flatMap((match, index) => {
      const [line, marks = '', heading = ''] = match;
      const body = page.text.slice(match.index + line.length, found[index + 1]?.index).trim();
      const title = marks.length === 1 ? page.title : `${page.title} › ${plain(heading)}`;
      return cutText(body).map((text) => ({
        page: page.name,
        slug: marks.length === 1 ? '' : slugOf(heading),
        title,
        text,
      }));
    });
  });
}

/** At empty lines, else at the ends of lines, else anywhere. */
function cutText(text: string): string[] {
  const pieces: string[] = [];
  let piece = '';
  const close = () => {
    if (piece.trim() !== '') pieces.push(piece.trim());
    piece = '';
  };
  for (const block of text.split(/\n{2,}/)) {
    if (piece.length + block.length > PIECE_LENGTH) close();
    if (block.length <= PIECE_LENGTH) {
      piece += `${block}\n\n`;
      continue;
    }
    for (const line of block.split('\n')) {
      if (piece.length + line.length > PIECE_LENGTH) close();
      for (let at = 0; at < line.length; at += PIECE_LENGTH) {
        piece += `${line.slice(at, at + PIECE_LENGTH)}\n`;
        if (at + PIECE_LENGTH < line.length) close();
      }
    }
    piece += '\n';
  }
  close();
  return pieces;
}
