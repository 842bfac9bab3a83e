/** A server with OpenAI's API, on a port of its own: what a site's `upstream` names. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface UpstreamServer {
  /** `http://localhost:<port>/v1` */
  readonly baseURL: string;
  readonly asked: { path: string; headers: IncomingHttpHeaders; body: { model?: string; stream?: boolean } }[];
  /** Resolves when a client goes away in the middle of a stream. */
  readonly abandoned: Promise<void>;
  close(): Promise<void>;
}

/** A request for `stream` gets a word, and no end. Any other gets its answer; the model `broken` a 500. */
export async function startUpstreamServer(): Promise<UpstreamServer> {
  const asked: UpstreamServer['asked'] = [];
  let onAbandoned = () => {};
  const abandoned = new Promise<void>((resolve) => {
    onAbandoned = resolve;
  });
  const server = createServer(async (request, response) => {
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Allow-Headers', '*, Authorization');
    if (request.method === 'OPTIONS') return response.end();
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    asked.push({ path: request.url ?? '', headers: request.headers, body });
    if (body.model === 'broken') {
      response.writeHead(500, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ error: { message: 'out of order', type: 'server_error', code: 500 } }));
    } else if (body.stream) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(
        `data: ${JSON.stringify({ model: body.model, choices: [{ index: 0, delta: { content: 'Far' } }] })}\n\n`,
      );
      response.on('close', onAbandoned);
    } else {
      response.setHeader('Content-Type', 'application/json');
      const message = { role: 'assistant', content: 'From far away.' };
      response.end(JSON.stringify({ model: body.model, choices: [{ index: 0, finish_reason: 'stop', message }] }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  return {
    baseURL: `http://localhost:${(server.address() as AddressInfo).port}/v1`,
    asked,
    abandoned,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
