import { expect, it } from 'vitest';
import { createKeptOptions } from './site-options.ts';

const SCOPE = 'https://a.example/';

/** As much of a CacheStorage as the options need. */
function fakeStorage() {
  const kept = new Map<string, Response>();
  const cache = {
    match: async (url: string) => kept.get(url)?.clone(),
    put: async (url: string, response: Response) => void kept.set(url, response),
  };
  return { open: async () => cache as unknown as Cache };
}

it('are kept for the next start of the service worker, for each site by itself', async () => {
  const storage = fakeStorage();
  const options = createKeptOptions(SCOPE, storage);
  expect(options.known).toBeNull();
  expect(await options.get()).toMatchObject({ isolate: false, nativeRoutes: false });
  await options.change({ isolate: true });
  expect(options.known).toMatchObject({ isolate: true, nativeRoutes: false });
  expect(await createKeptOptions(SCOPE, storage).get()).toMatchObject({ isolate: true, nativeRoutes: false });
  expect(await createKeptOptions(`${SCOPE}b/`, storage).get()).toMatchObject({ isolate: false, nativeRoutes: false });
});

it('a page that says nothing changes nothing; one that says otherwise is told', async () => {
  const options = createKeptOptions(SCOPE, fakeStorage());
  expect(await options.change({ isolate: true })).toMatchObject({ replaced: [] });
  expect(await options.change({})).toMatchObject({ options: { isolate: true, nativeRoutes: false }, replaced: [] });
  expect(await options.change({ isolate: false, nativeRoutes: true })).toMatchObject({
    options: { isolate: false, nativeRoutes: true },
    replaced: ['isolate'],
  });
});

it('last as long as the service worker where storage is blocked', async () => {
  const options = createKeptOptions(SCOPE, { open: () => Promise.reject(new DOMException('no', 'SecurityError')) });
  expect(await options.change({ nativeRoutes: true })).toMatchObject({ options: { nativeRoutes: true } });
  expect(await options.get()).toMatchObject({ nativeRoutes: true });
});
