/**
 * llama-server's HTTP, as a web-standard application: `(Request) => Promise<Response>`. It knows no worker and no port, so
 * it runs in the engine worker and in Node alike.
 */
import { Hono } from 'hono';
import type { Engine } from '../engine/engine.ts';
import { isAbort, LlamatabError } from '../errors.ts';
import type { ModelStore } from '../models/models.ts';
import { createRealtime } from './audio/realtime.ts';
import type { DecodeAudio } from './audio/sound.ts';
import { speech } from './audio/speech.ts';
import { transcriptions } from './audio/transcriptions.ts';
import { chatCompletions } from './chat/chat-completions.ts';
import { controlChat } from './chat/chat-control.ts';
import { embeddings, nativeEmbeddings } from './embeddings/embeddings.ts';
import { rerank } from './embeddings/rerank.ts';
import { JSON_HEADERS } from './http/answer.ts';
import { requireApiKey } from './http/api-key.ts';
import { middlewareError } from './http/middleware-error.ts';
import { createResumableStreams } from './http/resumable-streams.ts';
import { actOnSlot, featureDisabled, listAdapters, scaleAdapters } from './info/absent-features.ts';
import { createMetrics } from './info/metrics.ts';
import { getProps, setProps } from './info/props.ts';
import { getSlots } from './info/slots.ts';
import { watchModels } from './models/model-events.ts';
import { type Attachments, deleteModel, exportModel, importModel } from './models/model-files-routes.ts';
import {
  cancelDownload,
  checkModel,
  downloadModel,
  pauseDownload,
  pinModel,
  resumeDownload,
  spaceOfModel,
} from './models/model-store-routes.ts';
import { getModel, json, listModels, loadModel, unloadModel } from './models/models-routes.ts';
import { messages } from './other-apis/messages-api.ts';
import { responses } from './other-apis/responses.ts';
import type { ServerContext } from './state/context.ts';
import { ModelRouter } from './state/model-router.ts';
import { ModelWork } from './state/model-work.ts';
import { createMonitor } from './state/monitor.ts';
import { infill } from './text/infill.ts';
import { nativeCompletion } from './text/native-completion.ts';
import { textCompletions } from './text/text-completions.ts';
import { countChatTokens, countMessageTokens, countResponseTokens } from './tokens/count-tokens.ts';
import { applyTemplate, detokenize, tokenize } from './tokens/tokenize.ts';

export interface ServerOptions {
  models: ModelStore;
  engine: Engine;
  /** Id or alias of the model that "local", or no model at all, means; null for the catalog's own. */
  defaultModel?: string | null;
  /** Further model names, each for an id or alias of the catalog, or "local"; `*` for any unknown name. */
  aliases?: Record<string, string>;
  /** Any of which a request must show; none: anyone is answered. */
  apiKeys?: readonly string[];
  /** Bytes that loaded models may take together; null for what suits the device. */
  memory?: number | null;
  /** Seconds without a request until a model is unloaded; -1 for never. */
  sleepIdleSeconds?: number;
  /** Ours, for the header by which a page tells our answers from its host's. */
  version?: string;
  /** For sounds in formats that the engine can't read. Default: they are refused. */
  decodeAudio?: DecodeAudio | undefined;
}

export interface Server {
  /** Answers any request; an error is an answer too. The request's signal, or cancelling the body, ends the work behind it. */
  fetch(request: Request, attachments?: Attachments): Promise<Response>;
  /** What it answers, for tests to hold their tables against. */
  readonly routes: readonly { method: string; path: string }[];
}

/**
 * @param clock Milliseconds since 1970.
 * @param random Draws an unsigned 32-bit integer: seeds and ids come from it.
 */
export function createServer(options: ServerOptions, clock = Date.now, random = randomUint32): Server {
  const { models, engine, memory, sleepIdleSeconds, defaultModel = null } = options;
  const { aliases = {}, apiKeys = [], version = '0', decodeAudio } = options;
  const monitor = createMonitor();
  const context: ServerContext = {
    models,
    router: new ModelRouter(models, monitor.watch(engine), { memory, sleepIdleSeconds }),
    work: new ModelWork(models),
    monitor,
    naming: { defaultModel, aliases },
    clock,
    random,
    decodeAudio,
  };
  const app = routes(context, apiKeys, version);
  return { fetch: async (request, attachments) => app.fetch(request, attachments), routes: app.routes };
}

function routes(context: ServerContext, apiKeys: readonly string[], version: string): Hono<{ Bindings: Attachments }> {
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

  const streams = createResumableStreams(context.clock);
  app.use(async (c, next) => {
    const answered = await streams.keep(c.req.raw, async (request) => {
      c.req.raw = request;
      await next();
      return c.res;
    });
    if (answered !== c.res) c.res = answered;
  });

  app.options('*', () => new Response('', { headers: PREFLIGHT_HEADERS }));

  app.on('GET', ['/health', '/v1/health'], () => json({ status: 'ok' }));
  app.on('GET', ['/props', '/v1/props'], (c) => getProps(c.req.raw, context));
  app.on('POST', ['/props', '/v1/props'], setProps);
  app.on('GET', ['/slots', '/v1/slots'], (c) => getSlots(c.req.raw, context));
  app.on('POST', ['/slots/:id', '/v1/slots/:id'], actOnSlot);
  app.on('GET', ['/metrics', '/v1/metrics'], createMetrics(context.monitor, context.clock()));
  app.on('GET', ['/lora-adapters', '/v1/lora-adapters'], listAdapters);
  app.on('POST', ['/lora-adapters', '/v1/lora-adapters'], (c) => scaleAdapters(c.req.raw));
  app.on(['GET', 'POST'], ['/tools', '/cors-proxy'], featureDisabled);
  app.post('/v1/audio/speech', (c) => speech(c.req.raw, context));
  const realtime = createRealtime(context);
  app.post('/v1/realtime', (c) => realtime.open(c.req.raw));
  app.post('/v1/realtime/:session', (c) => realtime.send(c.req.raw, c.req.param('session')));
  app.on('POST', ['/audio/transcriptions', '/v1/audio/transcriptions'], (c) => transcriptions(c.req.raw, context));

  app.on('GET', ['/models', '/v1/models'], () => listModels(context));
  app.on('GET', ['/models/sse', '/v1/models/sse'], (c) => watchModels(c.req.raw, context));
  app.on('POST', ['/models/load', '/v1/models/load'], (c) => loadModel(c.req.raw, context));
  app.on('POST', ['/models/unload', '/v1/models/unload'], (c) => unloadModel(c.req.raw, context));
  app.on('POST', ['/models', '/v1/models'], (c) => downloadModel(c.req.raw, context));
  app.post('/v1/models/pause', (c) => pauseDownload(c.req.raw, context));
  app.post('/v1/models/resume', (c) => resumeDownload(c.req.raw, context));
  app.post('/v1/models/cancel', (c) => cancelDownload(c.req.raw, context));
  app.post('/v1/models/verify', (c) => checkModel(c.req.raw, context, false));
  app.post('/v1/models/repair', (c) => checkModel(c.req.raw, context, true));
  app.post('/v1/models/pin', (c) => pinModel(c.req.raw, context));
  app.get('/v1/models/space', (c) => spaceOfModel(c.req.raw, context));
  app.post('/v1/models/import', (c) => importModel(c.req.raw, context, c.env?.files));
  app.get('/v1/models/export', (c) => exportModel(c.req.raw, context));
  app.on('DELETE', ['/models', '/v1/models'], (c) => deleteModel(c.req.query('model'), context));
  // An id may contain slashes.
  app.on('DELETE', ['/models/:id{.+}', '/v1/models/:id{.+}'], (c) => deleteModel(c.req.param('id'), context));
  app.get('/v1/models/:id{.+}', (c) => getModel(c.req.param('id'), context));

  app.on('POST', ['/chat/completions', '/v1/chat/completions'], (c) => chatCompletions(c.req.raw, context));
  app.post('/v1/chat/completions/control', (c) => controlChat(c.req.raw));
  app.on('POST', ['/responses', '/v1/responses'], (c) => responses(c.req.raw, context));
  app.post('/v1/messages', (c) => messages(c.req.raw, context));
  app.on('POST', ['/chat/completions/input_tokens', '/v1/chat/completions/input_tokens'], (c) =>
    countChatTokens(c.req.raw, context),
  );
  app.on('POST', ['/responses/input_tokens', '/v1/responses/input_tokens'], (c) =>
    countResponseTokens(c.req.raw, context),
  );
  app.post('/v1/messages/count_tokens', (c) => countMessageTokens(c.req.raw, context));
  app.on('POST', ['/tokenize', '/v1/tokenize'], (c) => tokenize(c.req.raw, context));
  app.on('POST', ['/detokenize', '/v1/detokenize'], (c) => detokenize(c.req.raw, context));
  app.on('POST', ['/apply-template', '/v1/apply-template'], (c) => applyTemplate(c.req.raw, context));

  app.on('POST', ['/completion', '/completions', '/v1/completion'], (c) => nativeCompletion(c.req.raw, context));
  app.on('POST', ['/infill', '/v1/infill'], (c) => infill(c.req.raw, context));
  app.post('/v1/completions', (c) => textCompletions(c.req.raw, context));
  app.post('/v1/embeddings', (c) => embeddings(c.req.raw, context));
  app.on('POST', ['/embedding', '/embeddings'], (c) => nativeEmbeddings(c.req.raw, context));
  app.on('POST', ['/rerank', '/reranking', '/v1/rerank', '/v1/reranking'], (c) => rerank(c.req.raw, context));

  app.get('/v1/stream', (c) => streams.resume(c.req.raw));
  app.delete('/v1/stream', (c) => streams.stop(c.req.raw));
  app.post('/v1/streams/lookup', (c) => streams.lookup(c.req.raw));

  // A wrong method too: llama-server knows no 405.
  app.notFound(() => middlewareError(404, 'File Not Found', 'not_found_error'));
  app.onError((error) => errorResponse(error));
  return app;
}

const PREFLIGHT_HEADERS = {
  'Content-Type': 'text/html',
  'Access-Control-Allow-Methods': 'GET, POST, DELETE, OPTIONS',
  'Access-Control-Allow-Headers': '*',
} as const;

/** The one place where an error becomes HTTP. */
function errorResponse(thrown: unknown): Response {
  // Nobody reads the answer to a request that its sender has aborted, but it must be one.
  const error = isAbort(thrown)
    ? new LlamatabError('unavailable_error', 'The request was aborted by its sender.')
    : LlamatabError.from(thrown);
  return new Response(JSON.stringify(error.toEnvelope()), { status: error.status, headers: JSON_HEADERS });
}

function randomUint32(): number {
  const [drawn = 0] = crypto.getRandomValues(new Uint32Array(1));
  return drawn;
}
