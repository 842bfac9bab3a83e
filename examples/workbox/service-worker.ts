/** The site's own service worker, made with Workbox: llamatab's comes first, and answers `/v1`; the files are Workbox's business. */
import 'llamatab/service-worker';
import { registerRoute } from 'workbox-routing';
import { NetworkFirst } from 'workbox-strategies';

// Models are kept by llamatab, in IndexedDB: they may be gigabytes.
registerRoute(({ sameOrigin, url }) => sameOrigin && !url.pathname.includes('/models/'), new NetworkFirst());
