/** The server's routes, as the API view shows them, each with a request to begin with. */
import type { ModelStatus } from '../../index.ts';

export interface Route {
  /** In the view's address. */
  id: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Below `/v1`. `{model}` stands for a model's id. */
  path: string;
  about: string;
  /** What the request says: JSON, a form with a file, or nothing. */
  body?: object;
  form?: Record<string, string>;
  /** Which model is asked: the default one, or one that can do this. */
  needs?: string;
  /** Of the OpenAI client, where it has one: what sends this body. */
  sdk?: string;
  /** What can't be taken back, in words. */
  warning?: string;
  /** Paths that are the same route, below `/v1`. */
  same?: readonly string[];
}

const QUESTION = [{ role: 'user', content: 'What is the capital of France?' }];

export const ROUTES: Record<string, readonly Route[]> = {
  'Chat and text': [
    {
      id: 'chat',
      method: 'POST',
      path: '/chat/completions',
      about:
        'A chat’s next answer, streamed or whole. With tools, JSON schemas, pictures and sounds, as the model can.',
      body: { model: '{model}', messages: QUESTION, max_tokens: 64, stream: true },
      sdk: 'chat.completions.create',
    },
    {
      id: 'responses',
      method: 'POST',
      path: '/responses',
      about: 'The same in the shape of OpenAI’s Responses.',
      body: { model: '{model}', input: 'What is the capital of France?', max_output_tokens: 64, stream: true },
      sdk: 'responses.create',
    },
    {
      id: 'messages',
      method: 'POST',
      path: '/messages',
      about: 'The same in the shape of Anthropic’s Messages.',
      body: { model: '{model}', max_tokens: 64, messages: QUESTION, stream: true },
    },
    {
      id: 'completions',
      method: 'POST',
      path: '/completions',
      about: 'A text, continued.',
      body: { model: '{model}', prompt: 'Once upon a time', max_tokens: 32, stream: true },
      sdk: 'completions.create',
    },
    {
      id: 'completion',
      method: 'POST',
      path: '/completion',
      about: 'The same in llama-server’s own shape, with its timings and settings.',
      body: { model: '{model}', prompt: 'Once upon a time', n_predict: 16, n_probs: 2 },
    },
    {
      id: 'infill',
      method: 'POST',
      path: '/infill',
      about: 'The text between two others, of a model with fill-in-the-middle tokens; the embedded one has none.',
      body: { model: '{model}', input_prefix: 'function add(a, b) {\n', input_suffix: '\n}\n', n_predict: 16 },
    },
    {
      id: 'chat-control',
      method: 'POST',
      path: '/chat/completions/control',
      about: 'llama-server’s way to end thoughts under way. It is checked, and answered that the engine can’t.',
      body: { id: 'chatcmpl-1', action: 'reasoning_end' },
    },
  ],
  'Embeddings and ranking': [
    {
      id: 'embeddings',
      method: 'POST',
      path: '/embeddings',
      about: 'Texts as vectors, to compare their meanings.',
      body: { model: '{model}', input: ['a llama', 'a browser tab'] },
      needs: 'embedding',
      sdk: 'embeddings.create',
    },
    {
      id: 'rerank',
      method: 'POST',
      path: '/rerank',
      about: 'How well documents answer a query, of a reranker.',
      body: { model: '{model}', query: 'What is a llama?', documents: ['A camelid.', 'A kind of cheese.'] },
      needs: 'rerank',
      same: ['/reranking'],
    },
  ],
  Tokens: [
    {
      id: 'tokenize',
      method: 'POST',
      path: '/tokenize',
      about: 'A text’s tokens.',
      body: { model: '{model}', content: 'A llama in a tab.', with_pieces: true },
    },
    {
      id: 'detokenize',
      method: 'POST',
      path: '/detokenize',
      about: 'The text of tokens.',
      body: { model: '{model}', tokens: [504, 3575, 282, 4649] },
    },
    {
      id: 'apply-template',
      method: 'POST',
      path: '/apply-template',
      about: 'What the model’s template makes of a chat.',
      body: { model: '{model}', messages: QUESTION },
    },
    {
      id: 'chat-tokens',
      method: 'POST',
      path: '/chat/completions/input_tokens',
      about: 'How many tokens a chat’s prompt comes to.',
      body: { model: '{model}', messages: QUESTION },
    },
    {
      id: 'responses-tokens',
      method: 'POST',
      path: '/responses/input_tokens',
      about: 'How many tokens a Responses request’s prompt comes to.',
      body: { model: '{model}', input: 'What is the capital of France?' },
    },
    {
      id: 'messages-tokens',
      method: 'POST',
      path: '/messages/count_tokens',
      about: 'How many tokens a Messages request’s prompt comes to.',
      body: { model: '{model}', messages: QUESTION },
    },
  ],
  Sound: [
    {
      id: 'speech',
      method: 'POST',
      path: '/audio/speech',
      about: 'A text, spoken, by a model that can.',
      body: { model: '{model}', input: 'Hello from a browser tab.' },
      needs: 'speech',
      sdk: 'audio.speech.create',
    },
    {
      id: 'transcriptions',
      method: 'POST',
      path: '/audio/transcriptions',
      about: 'A sound, written down, by a model that hears.',
      form: { model: '{model}', response_format: 'json' },
      needs: 'audio',
      sdk: 'audio.transcriptions.create',
    },
    {
      id: 'realtime',
      method: 'POST',
      path: '/realtime',
      about: 'A realtime session’s events, as a stream. `server.realtime()` makes a socket of it.',
      body: { model: '{model}', session: 'try-it' },
      needs: 'audio',
    },
    {
      id: 'realtime-send',
      method: 'POST',
      path: '/realtime/try-it',
      about: 'A client’s events to the session of this name.',
      body: [{ type: 'session.update', session: { type: 'transcription' } }],
    },
  ],
  Models: [
    { id: 'models', method: 'GET', path: '/models', about: 'All models, with their states.', sdk: 'models.list' },
    { id: 'model', method: 'GET', path: '/models/{model}', about: 'One model.' },
    {
      id: 'models-sse',
      method: 'GET',
      path: '/models/sse',
      about: 'What happens to models, as it happens: the stream goes on until you stop it.',
    },
    {
      id: 'models-space',
      method: 'GET',
      path: '/models/space?model={model}',
      about: 'The disk and memory that a model needs, and what there is.',
    },
    {
      id: 'models-load',
      method: 'POST',
      path: '/models/load',
      about: 'Downloads a model if need be, and loads it.',
      body: { model: '{model}' },
    },
    {
      id: 'models-unload',
      method: 'POST',
      path: '/models/unload',
      about: 'Frees a model’s memory.',
      body: { model: '{model}' },
    },
    {
      id: 'models-add',
      method: 'POST',
      path: '/models',
      about: 'Adds a model by its address or a hub’s name, and downloads it.',
      body: { model: 'ggml-org/gemma-3-270m-it-GGUF:Q8_0', download: false },
    },
    ...(['pause', 'resume', 'cancel', 'verify', 'repair'] as const).map(
      (action): Route => ({
        id: `models-${action}`,
        method: 'POST',
        path: `/models/${action}`,
        about: {
          pause: 'Holds a download until it is resumed.',
          resume: 'Goes on with a download that was paused, or was cut off.',
          cancel: 'Ends a download, and deletes what has come.',
          verify: 'Reads all that is stored of a model, and compares its hashes.',
          repair: 'Does so, and fetches again what is damaged.',
        }[action],
        body: { model: '{model}' },
        ...(action === 'cancel' ? { warning: 'This deletes what has been downloaded.' } : {}),
      }),
    ),
    {
      id: 'models-pin',
      method: 'POST',
      path: '/models/pin',
      about: 'Keeps a model from being evicted, or lets it go again.',
      body: { model: '{model}', pinned: true },
    },
    {
      id: 'models-import',
      method: 'POST',
      path: '/models/import?name=model.gguf',
      about: 'A model’s file as the body. `server.models.addFiles` takes no memory for it.',
      form: {},
    },
    {
      id: 'models-export',
      method: 'GET',
      path: '/models/export?model={model}',
      about: 'All files of a model as one archive: as large as the model.',
    },
    {
      id: 'models-delete',
      method: 'DELETE',
      path: '/models?model={model}',
      about: 'Deletes a model’s files; also as `/models/{id}`.',
      warning: 'This deletes the model from this browser: it has to be downloaded again.',
      same: ['/models/{model}'],
    },
  ],
  Server: [
    { id: 'health', method: 'GET', path: '/health', about: 'Whether requests are answered.' },
    {
      id: 'props',
      method: 'GET',
      path: '/props?model={model}',
      about: 'A model’s properties, and as `engine` how it runs.',
    },
    {
      id: 'slots',
      method: 'GET',
      path: '/slots?model={model}',
      about: 'What each slot computes. The live view is made of this.',
    },
    { id: 'metrics', method: 'GET', path: '/metrics', about: 'llama-server’s counters, for Prometheus.' },
    {
      id: 'stream',
      method: 'GET',
      path: '/stream?conv_id=try-it&from=0',
      about: 'A stream that was asked for with `X-Conversation-Id`, taken up again.',
    },
    {
      id: 'stream-stop',
      method: 'DELETE',
      path: '/stream?conv_id=try-it',
      about: 'Stops that stream.',
    },
    {
      id: 'streams-lookup',
      method: 'POST',
      path: '/streams/lookup',
      about: 'Which of these conversations have a stream.',
      body: { conversation_ids: ['try-it'] },
    },
    { id: 'lora', method: 'GET', path: '/lora-adapters', about: 'Adapters: models are loaded without.' },
    {
      id: 'lora-scale',
      method: 'POST',
      path: '/lora-adapters',
      about: 'Their scales; there are none.',
      body: [],
    },
    {
      id: 'props-set',
      method: 'POST',
      path: '/props',
      about: 'llama-server’s answer where it was not started to change properties: 501.',
      body: {},
    },
    {
      id: 'slot-action',
      method: 'POST',
      path: '/slots/0?action=erase',
      about: 'llama-server’s answer where it was not started to save slots: 501.',
      body: {},
    },
  ],
};

export const ALL_ROUTES: readonly Route[] = Object.values(ROUTES).flat();

/** Models by what a route needs: the default one where it needs nothing, or where none can. */
export function modelFor(route: Route, models: readonly ModelStatus[]): string {
  const able = route.needs && models.find(({ capabilities }) => capabilities.includes(route.needs as string));
  return (able || models.find((model) => model.default))?.id ?? 'local';
}

export interface ApiRequest {
  method: string;
  /** Below the base URL. */
  path: string;
  /** JSON as it was typed; null for none. */
  body: string | null;
}

/** The request to begin with. */
export function requestOf(route: Route, model: string): ApiRequest {
  const body = route.body === undefined ? null : JSON.stringify(route.body, null, 2).replaceAll('{model}', model);
  return { method: route.method, path: route.path.replaceAll('{model}', encodeURIComponent(model)), body };
}

// --- as code -------------------------------------------------------------------------------------------------------

/** For another program: no shell reaches into a browser. @param baseURL of a llama-server's */
export function toCurl({ method, path, body }: ApiRequest, baseURL: string, form?: Route['form']): string {
  const parts = [`curl ${quoted(`${baseURL}${path}`)}`];
  if (method === 'DELETE') parts.push('-X DELETE');
  if (form) {
    parts.push(
      "-F 'file=@sound.wav'",
      ...Object.entries(form).map(([name, value]) => `-F ${quoted(`${name}=${value}`)}`),
    );
  } else if (body !== null) {
    parts.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
    if (/"stream":\s*true/.test(body)) parts.push('--no-buffer');
  }
  return parts.join(' \\\n  ');
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** For the developer tools of any page of the site. @param base path of the base URL, `/v1` */
export function toFetch({ method, path, body }: ApiRequest, base: string, form?: Route['form']): string {
  const address = `'${base}${path}'`;
  const streams = body !== null && /"stream":\s*true/.test(body);
  const read = streams
    ? `for await (const text of response.body.pipeThrough(new TextDecoderStream())) console.log(text);`
    : `console.log(await response.text());`;
  if (form) {
    const fields = Object.entries(form).map(([name, value]) => `form.set('${name}', '${value}');`);
    return [
      'const form = new FormData();',
      'form.set(\'file\', file); // a File, as of an <input type="file">',
      ...fields,
      `const response = await fetch(${address}, { method: 'POST', body: form });`,
      read,
    ].join('\n');
  }
  if (method === 'GET') return `const response = await fetch(${address});\n${read}`;
  const said =
    body === null
      ? ''
      : `\n  headers: { 'Content-Type': 'application/json' },\n  body: JSON.stringify(${literal(body).replaceAll('\n', '\n  ')}),`;
  return `const response = await fetch(${address}, {\n  method: '${method}',${said}\n});\n${read}`;
}

/** With the OpenAI client: its own method, or the one for any route. */
export function toSdk({ method, path, body }: ApiRequest, { sdk, form }: Pick<Route, 'sdk' | 'form'>): string {
  const setUp = `import OpenAI from 'openai';
import { serve } from 'llamatab';

const server = await serve();
const openai = new OpenAI({
  baseURL: server.baseURL,
  fetch: server.fetch, // works on the first visit too, before the service worker controls the page
  apiKey: 'local',
  dangerouslyAllowBrowser: true, // there is no secret key
});
`;
  const streams = body !== null && /"stream":\s*true/.test(body);
  if (form && sdk) {
    const fields = Object.entries(form).map(([name, value]) => `, ${name}: '${value}'`);
    return `${setUp}\nconsole.log(await openai.${sdk}({ file${fields.join('')} }));`;
  }
  const options = body === null ? '' : `, { body: ${literal(body)}${streams ? ', stream: true' : ''} }`;
  const call = sdk
    ? `openai.${sdk}(${body === null ? '' : literal(body)})`
    : `openai.${method.toLowerCase()}('${path}'${options})`;
  if (!streams) return `${setUp}\nconsole.log(await ${call});`;
  return `${setUp}\nconst stream = await ${call};\nfor await (const event of stream) console.log(event);`;
}

/** JSON as a literal of the language: names without quotes. What was not set out in lines stays as it is. */
const literal = (json: string) => json.replaceAll(/^(\s*)"([a-z_]\w*)":/gim, '$1$2:');
