/** Which view is open, as the address says: `#chat`, `#chat/<id>`, `#live`, `#api`, `#api/<route>`. */
import { useEffect, useState } from 'preact/hooks';

export type View = 'chat' | 'live' | 'api';

export interface Place {
  view: View;
  /** Of the view: a chat's id, or a route's. */
  detail: string | null;
}

export function readPlace(hash: string): Place {
  const [, view = '', detail = ''] = /^#(\w+)(?:\/(.+))?$/.exec(hash) ?? [];
  return { view: view === 'live' || view === 'api' ? view : 'chat', detail: detail === '' ? null : detail };
}

/** The place, and again when the address changes. */
export function usePlace(): Place {
  const [place, setPlace] = useState(() => readPlace(location.hash));
  useEffect(() => {
    const onChange = () => setPlace(readPlace(location.hash));
    addEventListener('hashchange', onChange);
    return () => removeEventListener('hashchange', onChange);
  }, []);
  return place;
}

/** Whether a media query matches, and again when that changes. */
export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const onChange = () => setMatches(list.matches);
    onChange();
    list.addEventListener('change', onChange);
    return () => list.removeEventListener('change', onChange);
  }, [query]);
  return matches;
}
