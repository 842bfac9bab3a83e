/** Tells the service worker when the browser freezes this page, and when it runs again (`frozen-pages.ts`). */
import type { ToServiceWorker } from '../protocol.ts';

/** Also for the iframes of the site within this page, which are frozen with it. Returns a function that ends this. */
export function watchFreezing(): () => void {
  const tell = (type: 'frozen' | 'thawed') => {
    for (const { serviceWorker } of navigatorsIn(window)) {
      serviceWorker.controller?.postMessage({ type } satisfies ToServiceWorker);
    }
  };
  const onFreeze = () => tell('frozen');
  const onResume = () => tell('thawed');
  document.addEventListener('freeze', onFreeze);
  document.addEventListener('resume', onResume);
  return () => {
    document.removeEventListener('freeze', onFreeze);
    document.removeEventListener('resume', onResume);
  };
}

/** Each message comes from the frame whose navigator posts it. */
function navigatorsIn(frame: Window): Navigator[] {
  try {
    const within = Array.from({ length: frame.length }, (_, index) => navigatorsIn(frame[index] as Window));
    return [frame.navigator, ...within.flat()];
  } catch {
    // Another site's.
    return [];
  }
}
