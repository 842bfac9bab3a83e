/** A static host for the tests: the built site, the library, the test pages and bundles, and whatever a test puts in their place. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import sirv from 'sirv';
import { path } from './paths.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface SiteServer {
  /** `http://localhost:<port>/` */
  readonly url: string;
  /** Answers a path in place of the site. */
  route(pathname: string, handler: Handler): void;
  /** Serves the whole site below a folder too, as one of several sites of the origin. Routes of the folder's own come first. */
  mount(folder: string): void;
  /** Serves at a path what another path serves. */
  alias(pathname: string, target: string): void;
  /** Serves bytes, a script's text, or an object as JSON, at a path. */
  put(pathname: string, content: Uint8Array | string | object): void;
  /** Serves another site in place of the built one. */
  fallback(handler: ReturnType<typeof sirv>): void;
  /** Paths that were asked for, in order. */
  readonly requests: string[];
  /** Stops answering, as a host that is off the network; open connections are cut. */
  goOffline(): Promise<void>;
  close(): Promise<void>;
}

export interface SiteServerOptions {
  /** Send the headers that make pages cross-origin isolated. Default: true. */
  isolated?: boolean;
  /** Further headers of every answer. */
  headers?: Record<string, string>;
}

/** Files are looked up for each request, and sent with `Cache-Control: no-cache`. */
const FILES = { dev: true, etag: true };

export async function startSiteServer({ isolated = true, headers = {} }: SiteServerOptions = {}): Promise<SiteServer> {
  const routes = new Map<string, Handler>();
  const aliases = new Map<string, string>();
  const mounts: string[] = [];
  const requests: string[] = [];
  const folders: [prefix: string, handler: ReturnType<typeof sirv>][] = [
    ['/lib/', sirv(path('dist/lib'), FILES)],
    ['/test/', sirv(path('test/pages'), FILES)],
    ['/bundles/', sirv(path('dist/test'), FILES)],
  ];
  let siteFiles = sirv(path('dist/site'), FILES);

  const server = createServer((request, response) => {
    const asked = new URL(request.url ?? '/', 'http://localhost').pathname;
    requests.push(asked);
    const folder = routes.has(asked) ? undefined : mounts.find((mount) => asked.startsWith(mount));
    const pathname = aliases.get(asked) ?? (folder === undefined ? asked : asked.slice(folder.length - 1));
    if (pathname !== asked) request.url = pathname;
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const handler = routes.get(pathname);
    if (handler) return handler(request, response);
    const [prefix, files] = folders.find(([prefix]) => pathname.startsWith(prefix)) ?? ['/', siteFiles];
    request.url = request.url?.slice(prefix.length - 1);
    files(request, response, () => {
      response.statusCode = 404;
      response.end('not found');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));

  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    requests,
    route: (pathname, handler) => routes.set(pathname, handler),
    mount: (folder) => mounts.push(folder),
    alias: (pathname, target) => aliases.set(pathname, target),
    put(pathname, content) {
      const [type, body] =
        content instanceof Uint8Array
          ? ['application/octet-stream', content]
          : typeof content === 'string'
            ? ['text/javascript', content]
            : ['application/json', JSON.stringify(content)];
      routes.set(pathname, (_, response) => {
        response.setHeader('Content-Type', type);
        response.end(body);
      });
    },
    fallback(handler) {
      siteFiles = handler;
    },
    goOffline: close,
    close,
  };
}
