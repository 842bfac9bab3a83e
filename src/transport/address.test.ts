import { describe, expect, it } from 'vitest';
import { isPastServiceWorker, isProbe, mayBeIntercepted, pastServiceWorker, probe, serverUrl } from './address.ts';

const ROOT = 'https://a.example/';
const REPO = 'https://a.example/repo/';
const ALL = { nativeRoutes: true };
const V1_ONLY = { nativeRoutes: false };

interface Asked {
  accept?: string;
  mode?: RequestMode;
  destination?: RequestDestination;
}

/** A program's request, unless `asked` says otherwise. @param asked `GET https://…` */
function request(asked: string, { accept, mode = 'cors', destination = '' }: Asked = {}) {
  const [method = '', url = ''] = asked.split(' ');
  const headers = new Headers(accept === undefined ? {} : { Accept: accept });
  return { method, url, mode, destination, headers };
}

describe('below /v1/', () => {
  it.each([
    ['GET https://a.example/v1/models', ROOT, 'https://a.example/v1/models'],
    ['GET https://a.example/v1/models?x=1', ROOT, 'https://a.example/v1/models?x=1'],
    ['POST https://a.example/v1/anything', ROOT, 'https://a.example/v1/anything'],
    ['GET https://a.example/repo/v1/models', REPO, 'https://a.example/v1/models'],
  ])('%s with base %s is ours', (asked, base, expected) => {
    expect(serverUrl(request(asked), base, ALL)).toBe(expected);
    expect(serverUrl(request(asked), base, V1_ONLY)).toBe(expected);
  });

  it.each([
    ['GET https://a.example/v1/guide', { mode: 'navigate', destination: 'document', accept: 'text/html,*/*' }],
    ['GET https://a.example/v1/guide', { mode: 'navigate', destination: 'iframe', accept: 'text/html,*/*' }],
    ['GET https://a.example/v1/guide', { accept: 'text/html, application/xhtml+xml' }],
    ['GET https://a.example/v1/logo.png', { mode: 'no-cors', destination: 'image' }],
    ['GET https://a.example/v1/main.js', { destination: 'script' }],
  ] as const)('%s as %j is the site’s', (asked, as) => {
    expect(serverUrl(request(asked, as), ROOT, ALL)).toBeNull();
  });

  it.each(['/v1/models', '/v1/models/export?model=tiny'])('%s may be opened by a person', (path) => {
    const opened = { mode: 'navigate', destination: 'document', accept: 'text/html' } as const;
    const url = `https://a.example${path}`;
    expect(serverUrl(request(`GET ${url}`, opened), ROOT, V1_ONLY)).toBe(url);
  });
});

describe('llama-server’s own routes', () => {
  it.each([
    ['POST https://a.example/completion', ROOT, 'https://a.example/completion'],
    ['GET https://a.example/repo/health', REPO, 'https://a.example/health'],
    ['HEAD https://a.example/health', ROOT, 'https://a.example/health'],
    ['POST https://a.example/repo/slots/0?action=save', REPO, 'https://a.example/slots/0?action=save'],
    ['GET https://a.example/models', ROOT, 'https://a.example/models'],
    ['GET https://a.example/props?model=tiny&autoload=0', ROOT, 'https://a.example/props?model=tiny&autoload=0'],
    ['POST https://a.example/models/load', ROOT, 'https://a.example/models/load'],
    ['DELETE https://a.example/models?model=x', ROOT, 'https://a.example/models?model=x'],
    ['DELETE https://a.example/models/owner/name', ROOT, 'https://a.example/models/owner/name'],
    ['OPTIONS https://a.example/completion', ROOT, 'https://a.example/completion'],
  ])('%s with base %s is ours, where the site wants them', (asked, base, expected) => {
    expect(serverUrl(request(asked), base, ALL)).toBe(expected);
    expect(serverUrl(request(asked), base, V1_ONLY)).toBeNull();
  });

  it.each([
    'GET https://a.example/completion',
    'GET https://a.example/responses',
    'GET https://a.example/embeddings',
    'GET https://a.example/models/load',
    'GET https://a.example/models/owner/name',
    'GET https://a.example/models?_rsc=1',
    'GET https://a.example/health?deep=1',
    'POST https://a.example/health',
    'PUT https://a.example/models',
  ])('%s is the site’s: no client of llama-server asks that', (asked) => {
    expect(serverUrl(request(asked), ROOT, ALL)).toBeNull();
  });

  it.each([
    ['GET https://a.example/models', { accept: 'text/html' }],
    ['GET https://a.example/models', { accept: 'text/x-component, text/html;q=0.9' }],
    ['GET https://a.example/health', { mode: 'no-cors', destination: 'image' }],
    ['GET https://a.example/models', { mode: 'navigate', destination: 'document' }],
  ] as const)('%s as %j is the site’s: it is a page or an image', (asked, as) => {
    expect(serverUrl(request(asked, as), ROOT, ALL)).toBeNull();
  });
});

it.each([
  ['https://b.example/v1/models', ROOT],
  ['http://a.example/v1/models', ROOT],
  ['https://a.example:444/v1/models', ROOT],
  ['https://a.example/v1', ROOT],
  ['https://a.example/v10/models', ROOT],
  ['https://a.example/models/catalog.json', ROOT],
  ['https://a.example/models/', ROOT],
  ['https://a.example/models/load/model.gguf', ROOT],
  ['https://a.example/health.html', ROOT],
  ['https://a.example/slots/a', ROOT],
  ['https://a.example/other/v1/models', REPO],
  ['https://a.example/other/props', REPO],
  ['https://a.example/v1/models', REPO],
  ['https://a.example/health', REPO],
  ['https://a.example/repo', REPO],
])('%s with base %s is not ours by any method', (url, base) => {
  for (const method of ['GET', 'POST']) expect(serverUrl(request(`${method} ${url}`), base, ALL)).toBeNull();
});

describe('addresses of other servers that are intercepted', () => {
  const options = { nativeRoutes: false, intercept: ['https://api.example/v1', 'https://b.example/openai'] };

  it.each([
    ['POST https://api.example/v1/chat/completions', 'https://a.example/v1/chat/completions'],
    ['GET https://api.example/v1/models?x=1', 'https://a.example/v1/models?x=1'],
    ['POST https://b.example/openai/embeddings', 'https://a.example/v1/embeddings'],
    ['POST https://a.example/repo/v1/embeddings', 'https://a.example/v1/embeddings'],
  ])('%s is ours', (asked, expected) => {
    expect(serverUrl(request(asked), REPO, options)).toBe(expected);
  });

  it.each([
    'POST https://api.example/v10/chat/completions',
    'POST https://api.example/chat/completions',
    'POST https://api.example.org/v1/chat/completions',
    'POST http://api.example/v1/chat/completions',
  ])('%s is not', (asked) => {
    expect(serverUrl(request(asked), REPO, options)).toBeNull();
    expect(mayBeIntercepted(request(asked), REPO)).toBe(true);
  });

  it('a page and an image are not', () => {
    const asked = request('POST https://api.example/v1/chat/completions');
    expect(serverUrl({ ...asked, mode: 'navigate', destination: 'document' }, REPO, options)).toBeNull();
    expect(serverUrl({ ...asked, mode: 'no-cors', destination: 'image' }, REPO, options)).toBeNull();
  });

  it('what the engine asks of its upstream server is told by its address', () => {
    const url = pastServiceWorker('https://api.example/v1/embeddings');
    expect([
      isPastServiceWorker({ url }),
      isPastServiceWorker(request('POST https://api.example/v1/embeddings')),
    ]).toEqual([true, false]);
    expect(new URL(url).pathname).toBe('/v1/embeddings');
  });

  it('so is a page’s question whether its requests come to the service worker', () => {
    const url = probe('https://user.github.io/repo/v1/health');
    expect([isProbe({ url }), isProbe(request('GET https://user.github.io/repo/v1/health'))]).toEqual([true, false]);
    expect(isPastServiceWorker({ url })).toBe(false);
  });
});
