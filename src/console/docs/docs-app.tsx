import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Drawer } from '../drawer.tsx';
import { Brand } from '../parts/brand.tsx';
import { ChatIcon, Logo, MenuIcon } from '../parts/icons.tsx';
import { Markdown, type Surroundings } from '../parts/markdown.tsx';
import { useMedia } from '../view.ts';
import { AskBox } from './ask-box.tsx';
import { headingsOf, type Page, plain, readDocsPlace, resolveLink, slugOf } from './pages.ts';
import './docs-app.css';

interface Props {
  pages: readonly Page[];
  /** Their addresses, by file name. */
  images: Readonly<Record<string, string>>;
}

const fileNameOf = (path: string) => path.replace(/^.*\//, '');

/** The documentation, and a box for questions about it. */
export function DocsApp({ pages, images }: Props): JSX.Element {
  const [place, setPlace] = useState(() => readDocsPlace(location.hash));
  const [menu, setMenu] = useState(false);
  const wide = useMedia('(min-width: 60rem)');
  const scroller = useRef<HTMLElement>(null);
  const page = pages.find(({ name }) => name === place.name) ?? (pages[0] as Page);

  useEffect(() => {
    const onChange = () => setPlace(readDocsPlace(location.hash));
    addEventListener('hashchange', onChange);
    return () => removeEventListener('hashchange', onChange);
  }, []);
  useEffect(() => {
    document.title = `${page.title} · llamatab`;
    const heading = place.slug === '' ? null : document.getElementById(place.slug);
    if (heading) heading.scrollIntoView();
    else scroller.current?.scrollTo(0, 0);
  }, [page, place]);

  const surroundings = useMemo(
    (): Surroundings => ({
      breaks: 'flowing',
      topHeading: 1,
      headingId: slugOf,
      link: (href) => resolveLink(href, page.name, pages),
      image: (href) => images[fileNameOf(href)] ?? null,
    }),
    [page, pages, images],
  );
  const close = () => setMenu(false);
  return (
    <>
      {wide && (
        <aside aria-label="Pages">
          <Contents pages={pages} page={page} onChosen={() => {}} />
        </aside>
      )}
      {!wide && (
        <header class="docs-top">
          <button type="button" class="icon-button" aria-label="Menu" title="Menu" onClick={() => setMenu(true)}>
            <MenuIcon />
          </button>
          <Logo />
          <span>{page.title}</span>
        </header>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <main ref={scroller} tabIndex={0}>
        <div class="docs-page">
          <AskBox pages={pages} />
          <article aria-label={page.title}>
            <Markdown text={page.text} unfinished={false} surroundings={surroundings} />
          </article>
          <Onward pages={pages} page={page} />
        </div>
      </main>
      {menu && !wide && (
        <Drawer onClose={close}>
          {(dismiss) => <Contents pages={pages} page={page} onChosen={dismiss} onClose={dismiss} />}
        </Drawer>
      )}
    </>
  );
}

interface ContentsProps {
  pages: readonly Page[];
  page: Page;
  onChosen: () => void;
  onClose?: () => void;
}

function Contents({ pages, page, onChosen, onClose }: ContentsProps): JSX.Element {
  const sections = headingsOf(page).filter(({ depth }) => depth === 2);
  return (
    <div class="contents">
      <Brand onClose={onClose} />
      <a class="to-console" href="../">
        <ChatIcon />
        To the console
      </a>
      <nav aria-label="Documentation">
        <ul>
          {pages.map(({ name, title }) => (
            <li key={name}>
              <a href={`#${name}`} aria-current={name === page.name ? 'page' : undefined} onClick={onChosen}>
                {title}
              </a>
              {name === page.name && sections.length > 0 && (
                <ul>
                  {sections.map(({ text, slug }) => (
                    <li key={slug}>
                      <a href={`#${name}/${slug}`} onClick={onChosen}>
                        {plain(text)}
                      </a>
                    </li>
                  ))}
                </ul>
              )}
            </li>
          ))}
        </ul>
      </nav>
    </div>
  );
}

/** To the page before and the next one. */
function Onward({ pages, page }: { pages: readonly Page[]; page: Page }): JSX.Element {
  const at = pages.indexOf(page);
  const [before, after] = [pages[at - 1], pages[at + 1]];
  return (
    <nav class="onward" aria-label="Further pages">
      {before ? <a href={`#${before.name}`}>← {before.title}</a> : <span />}
      {after && <a href={`#${after.name}`}>{after.title} →</a>}
    </nav>
  );
}
