/**
 * llama-server's HTTP as a web-standard application: `(Request) => Promise<Response>`. It needs neither a worker nor a
 * port, so it runs in the engine worker and in Node alike.
 */
import { type Context, Hono } from 'hono';
import type { Engine, LoadedModel } from '../engine/engine.ts';
import type { CatalogModel, ModelStore } from '../models/models.ts';
import type { Attachments, MemoryOptions, UpstreamOptions } from '../protocol.ts';
import { createRealtime } from './audio/realtime.ts';
import { speech } from './audio/speech.ts';
import { transcriptions } from './audio/transcriptions.ts';
import { chatCompletions } from './chat/chat-completions.ts';
import { controlChat } from './chat/chat-control.ts';
import { embeddings, nativeEmbeddings } from './embeddings/embeddings.ts';
import { rerank } from './embeddings/rerank.ts';
import { requireApiKey } from './http/api-key.ts';
import { restOf } from './http/continuation.ts';
import { errorResponse, featureDisabled, routeNotFound } from './http/error-response.ts';
import { createResumableStreams, type StreamStore } from './http/resumable-streams.ts';
import { Scope } from './http/scope.ts';
import { type AskUpstream, createUpstream } from './http/upstream.ts';
import { actOnSlot, listAdapters, scaleAdapters } from './info/absent-features.ts';
import { getHealth } from './info/health.ts';
import { createMetrics } from './info/metrics.ts';
import { describeProps, getProps, setProps } from './info/props.ts';
import { describeSlots, getSlots } from './info/slots.ts';
import { watchModels } from './models/model-events.ts';
import { deleteModel, exportModel, importModel } from './models/model-files-routes.ts';
import {
  cancelDownload,
  downloadModel,
  pauseDownload,
  pinModel,
  repairModel,
  resumeDownload,
  spaceOfModel,
  verifyModel,
} from './models/model-store-routes.ts';
import { getModel, listModels, loadModel, unloadModel } from './models/models-routes.ts';
import { messages } from './other-apis/messages-api.ts';
import { responses } from './other-apis/responses.ts';
import { type DecodeAudio, type RecodePicture, randomId, type ServerContext } from './state/context.ts';
import { withIdentity } from './state/identity.ts';
import type { ModelNaming } from './state/model-names.ts';
import { ModelPool } from './state/model-pool.ts';
import { ModelWork } from './state/model-work.ts';
import { createMonitor } from './state/monitor.ts';
import { infill } from './text/infill.ts';
import { nativeCompletion } from './text/native-completion.ts';
import { textCompletions } from './text/text-completions.ts';
import { countChatTokens, countMessageTokens, countResponseTokens } from './tokens/count-tokens.ts';
import { applyTemplate, detokenize, tokenize } from './tokens/tokenize.ts';

export interface ServerOptions extends MemoryOptions, Partial<ModelNaming> {
  models: ModelStore;
  engine: Engine;
  /** Keys, of which a request must send one. Without any, every request is answered. */
  apiKeys?: readonly string[];
  /** For pictures in formats that the engine can't read, turned or huge ones. Default: formats are refused, the rest is as it is. */
  recodePicture?: RecodePicture | undefined;
  /** llamatab's, sent in the header that tells a page our answers from its host's. */
  version?: string;
  /** Keeps resumable streams for the next host. Default: they end with this server. */
  streams?: StreamStore | undefined;
  /** For sounds in formats that the engine can't read. Default: they are refused. */
  decodeAudio?: DecodeAudio | undefined;
  /** A server for what this device can't do. Default: none. */
  upstream?: UpstreamOptions | null;
  /** How it is asked. Default: by `fetch`. */
  askUpstream?: AskUpstream;
}

export interface Server {
  /**
   * Answers any request; errors are answers too. Aborting the request's signal, or cancelling the body, ends the work
   * behind it. Where another host has delivered a part of the answer, gives the rest. @throws Error only then: with why it can't
   */
  fetch(request: Request, attachments?: Attachments): Promise<Response>;
  /** Goes by what another deploy of the site says, from the next request on. */
  configure(settings: Pick<ServerOptions, 'defaultModel' | 'aliases' | 'apiKeys' | 'upstream'>): void;
  /** Whether no model is in use or being loaded. */
  isIdle(): boolean;
  /** All routes, so that tests can compare their own tables with them. */
  readonly routes: readonly { method: string; path: string }[];
}

/**
 * @param clock Milliseconds since 1970.
 * @param random Draws an unsigned 32-bit integer: seeds and ids come from it.
 */
export function createServer(options: ServerOptions, clock = Date.now, random = randomUint32): Server {
  const { models, engine, defaultModel = null } = options;
  const { aliases = {}, apiKeys = [], version = '0', decodeAudio, recodePicture } = options;
  let keys = apiKeys;
  const monitor = createMonitor();
  const mediaMarker = `${randomId({ random }, '<__media_')}__>`;
  /** For the routes that do not wake a model. */
  const recall = async (model: CatalogModel, loaded: LoadedModel) => ({
    props: await describeProps(model, loaded, { mediaMarker }),
    slots: describeSlots(loaded, monitor),
  });
  const context: ServerContext = {
    models,
    pool: new ModelPool(models, monitor.watch(engine), options, recall, clock),
    work: new ModelWork(models),
    monitor,
    naming: { defaultModel, aliases },
    mediaMarker,
    clock,
    askedAt: clock,
    random,
    decodeAudio,
    recodePicture,
    upstream: createUpstream(options.upstream ?? null, () => monitor.workload.deferred, options.askUpstream),
  };
  const app = routes(context, () => keys, version, options.streams);
  return {
    async fetch(request, attachments) {
      const response = await app.fetch(request, attachments);
      return attachments?.delivered === undefined ? response : restOf(response, attachments.delivered);
    },
    configure({ defaultModel = null, aliases = {}, apiKeys = [], upstream = null }) {
      Object.assign(context.naming, { defaultModel, aliases });
      context.upstream.configure(upstream);
      keys = apiKeys;
    },
    isIdle: () => context.pool.idle,
    routes: app.routes,
  };
}

type Call = Context<{ Bindings: Attachments }>;
type Handler = (scope: Scope, context: ServerContext) => Response | Promise<Response>;

function routes(
  context: ServerContext,
  apiKeys: () => readonly string[],
  version: string,
  store: StreamStore | undefined,
): Hono<{ Bindings: Attachments }> {
  const app = new Hono<{ Bindings: Attachments }>();

  app.use(async (c, next) => {
    await next();
    const { headers } = c.res;
    // Echoed, as llama-server does by default: `*` is not allowed together with credentials.
    headers.set('Access-Control-Allow-Origin', c.req.header('Origin') ?? '');
    headers.set('Access-Control-Allow-Credentials', 'true');
    headers.set('Server', 'llamatab');
    headers.set('X-Llamatab', version);
  });

  app.use(requireApiKey(apiKeys));
  app.use(context.upstream.middleware);

  const again = async (request: Request, attachments: Attachments) => app.fetch(request, attachments);
  const streams = createResumableStreams(context.clock, again, store);
  /** One scope for each request. */
  const scopeOf = (c: Call) => new Scope(c.req.raw, c.env);
  const contextOf = (c: Call) => (c.env?.identity === undefined ? context : withIdentity(context, c.env.identity));
  const on = (handle: Handler) => (c: Call) => handle(scopeOf(c), contextOf(c));
  /** For routes whose streams may outlive the page that asked for them. */
  const resumable = (handle: Handler) => (c: Call) =>
    streams.keep(scopeOf(c), async (scope) => handle(scope, contextOf(c)));

  app.options('*', () => new Response('', { headers: PREFLIGHT_HEADERS }));

  app.on('GET', ['/health', '/v1/health'], on(getHealth));
  app.on('GET', ['/props', '/v1/props'], on(getProps));
  app.on('POST', ['/props', '/v1/props'], setProps);
  app.on('GET', ['/slots', '/v1/slots'], on(getSlots));
  app.on('POST', ['/slots/:id', '/v1/slots/:id'], actOnSlot);
  app.on('GET', ['/metrics', '/v1/metrics'], createMetrics(context.monitor, context.clock()));
  app.on('GET', ['/lora-adapters', '/v1/lora-adapters'], listAdapters);
  app.on('POST', ['/lora-adapters', '/v1/lora-adapters'], on(scaleAdapters));
  // llama-server has both for its own web page.
  app.on(['GET', 'POST'], ['/tools', '/cors-proxy'], featureDisabled);
  app.post('/v1/audio/speech', on(speech));
  const realtime = createRealtime(context);
  app.post('/v1/realtime', on(realtime.open));
  app.post('/v1/realtime/:session', (c) => realtime.send(scopeOf(c), c.req.param('session')));
  app.on('POST', ['/audio/transcriptions', '/v1/audio/transcriptions'], on(transcriptions));

  app.on('GET', ['/models', '/v1/models'], on(listModels));
  app.on('GET', ['/models/sse', '/v1/models/sse'], on(watchModels));
  app.on('POST', ['/models/load', '/v1/models/load'], on(loadModel));
  app.on('POST', ['/models/unload', '/v1/models/unload'], on(unloadModel));
  app.on('POST', ['/models', '/v1/models'], on(downloadModel));
  app.post('/v1/models/pause', on(pauseDownload));
  app.post('/v1/models/resume', on(resumeDownload));
  app.post('/v1/models/cancel', on(cancelDownload));
  app.post('/v1/models/verify', on(verifyModel));
  app.post('/v1/models/repair', on(repairModel));
  app.post('/v1/models/pin', on(pinModel));
  app.get('/v1/models/space', on(spaceOfModel));
  app.post('/v1/models/import', (c) => importModel(scopeOf(c), context, c.env?.files));
  app.get('/v1/models/export', on(exportModel));
  app.on('DELETE', ['/models', '/v1/models'], (c) => deleteModel(c.req.query('model'), context));
  // An id may contain slashes.
  app.on('DELETE', ['/models/:id{.+}', '/v1/models/:id{.+}'], (c) => deleteModel(c.req.param('id'), context));
  app.get('/v1/models/:id{.+}', (c) => getModel(c.req.param('id'), context));

  app.on('POST', ['/chat/completions', '/v1/chat/completions'], resumable(chatCompletions));
  app.post('/v1/chat/completions/control', on(controlChat));
  app.on('POST', ['/responses', '/v1/responses'], resumable(responses));
  app.post('/v1/messages', resumable(messages));
  app.on('POST', ['/chat/completions/input_tokens', '/v1/chat/completions/input_tokens'], on(countChatTokens));
  app.on('POST', ['/responses/input_tokens', '/v1/responses/input_tokens'], on(countResponseTokens));
  app.post('/v1/messages/count_tokens', on(countMessageTokens));
  app.on('POST', ['/tokenize', '/v1/tokenize'], on(tokenize));
  app.on('POST', ['/detokenize', '/v1/detokenize'], on(detokenize));
  app.on('POST', ['/apply-template', '/v1/apply-template'], on(applyTemplate));

  app.on('POST', ['/completion', '/completions', '/v1/completion'], resumable(nativeCompletion));
  app.on('POST', ['/infill', '/v1/infill'], resumable(infill));
  app.post('/v1/completions', resumable(textCompletions));
  app.post('/v1/embeddings', on(embeddings));
  app.on('POST', ['/embedding', '/embeddings'], on(nativeEmbeddings));
  app.on('POST', ['/rerank', '/reranking', '/v1/rerank', '/v1/reranking'], on(rerank));

  app.get('/v1/stream', on(streams.resume));
  app.delete('/v1/stream', on(streams.stop));
  app.post('/v1/streams/lookup', on(streams.lookup));

  app.notFound(routeNotFound);
  app.onError((error, c) => errorResponse(error, c.req.raw.signal));
  return app;
}

const PREFLIGHT_HEADERS = {
  'Content-Type': 'text/html',
  'Access-Control-Allow-Methods': 'GET, POST, DELETE, OPTIONS',
  'Access-Control-Allow-Headers': '*',
} as const;

function randomUint32(): number {
  const [drawn = 0] = crypto.getRandomValues(new Uint32Array(1));
  return drawn;
}
