/**
 * Images and audio of a chat: read from the request, fetched if they are given by URL, and handed to the engine as
 * files, with a marker for each in its message's text.
 */
import { anySignal } from '../../abortable.ts';
import type { Json, LoadedModelInfo } from '../../engine/engine.ts';
import { invalid, isAbort, LlamatabError } from '../../errors.ts';
import { isObject } from '../http/json.ts';
import type { MediaSupport } from '../state/capabilities.ts';

/** Each takes hundreds of tokens: more would not fit in a context. */
const MAX_MEDIA = 64;
/** llama-server's limits for what it fetches. A phone's photo has 2 to 8 MB. */
const MAX_FETCHED_BYTES = 10 * 1024 * 1024;
const FETCH_TIMEOUT = 10_000;

/** An image or a sound: its bytes, or its URL. */
export type Medium = { kind: keyof MediaSupport } & ({ bytes: Uint8Array } | { url: string });

/** Holds the place of a marker: the model's own is known only once it is loaded. */
export const MARKER_PART = { type: 'media_marker' } as const;

/** Types of message parts that are media, and llama-server's name of each. */
const KINDS: Record<string, string> = {
  image_url: 'image',
  input_audio: 'audio',
  input_video: 'video',
  video_url: 'video',
};

export function isMediaPart(part: unknown): part is Json & { type: string } {
  return isObject(part) && typeof part.type === 'string' && Object.hasOwn(KINDS, part.type);
}

/** Collects the media of a request, in the order of their markers. */
export class MediaReader {
  readonly media: Medium[] = [];
  readonly #support: MediaSupport;
  constructor(support: MediaSupport) {
    this.#support = support;
  }

  /** @throws LlamatabError with llama-server's status and message. */
  read(part: Json & { type: string }): void {
    const kind = KINDS[part.type] as string;
    if ((kind !== 'image' && kind !== 'audio') || !this.#support[kind]) throw unsupported(kind);
    if (this.media.length === MAX_MEDIA) {
      throw invalid('messages', `The messages have more than ${MAX_MEDIA} images and sounds. Send fewer.`);
    }
    this.media.push(kind === 'image' ? { kind, ...readUrl(part.image_url) } : { kind, ...readAudio(part.input_audio) });
  }
}

function unsupported(kind: string, more = ''): LlamatabError {
  return invalid(
    'messages',
    `${kind} input is not supported - hint: if this is unexpected, you may need to provide the mmproj${more}`,
    'server_error',
  );
}

/** A web URL, a data URI, or bare base64. */
function readUrl(image: unknown): { url: string } | { bytes: Uint8Array } {
  const url = isObject(image) && typeof image.url === 'string' ? image.url : '';
  if (/^https?:/i.test(url)) return { url };
  if (url.startsWith('file:'))
    throw invalid('messages', 'file:// URLs are not allowed unless --media-path is specified');
  if (!url.startsWith('data:')) return { bytes: decodeRaw(url) };
  const [head = '', data, ...more] = url.split(',');
  if (data === undefined || more.length > 0) throw invalid('messages', 'Invalid uri-encoded base64 value');
  if (!/^data:(image|video|audio)\//.test(head)) throw invalid('messages', `Invalid uri format: ${head}`);
  if (!head.endsWith('base64')) throw invalid('messages', 'uri must be base64 encoded');
  return { bytes: decodeBase64(data) ?? raise(invalid('messages', 'Invalid uri-encoded base64 value')) };
}

/** Like llama-server, in any format, and by URL too: what `format` says is not looked at. */
function readAudio(audio: unknown): { url: string } | { bytes: Uint8Array } {
  const { data, url } = isObject(audio) ? audio : ({} as Json);
  return readUrl({ url: data ?? url });
}

function decodeRaw(base64: string): Uint8Array {
  const bytes = decodeBase64(base64);
  if (bytes !== undefined && bytes.length > 0) return bytes;
  throw invalid('messages', 'Invalid base64 value', 'server_error');
}

/** Undefined if it is not base64. */
export function decodeBase64(base64: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function raise(error: LlamatabError): never {
  throw error;
}

/**
 * The media's bytes, in order.
 * @throws LlamatabError 400 naming the URL and the fault; `AbortError` when aborted.
 */
export function loadMedia(
  media: readonly Medium[],
  signal: AbortSignal,
  fetch: typeof globalThis.fetch = globalThis.fetch,
): Promise<Uint8Array[]> {
  return Promise.all(media.map((medium) => ('bytes' in medium ? medium.bytes : fetchMedium(medium, signal, fetch))));
}

async function fetchMedium(
  { kind, url }: { kind: Medium['kind']; url: string },
  signal: AbortSignal,
  fetch: typeof globalThis.fetch,
): Promise<Uint8Array> {
  const timeout = AbortSignal.timeout(FETCH_TIMEOUT);
  const failed = (reason: string, cause?: unknown) =>
    new LlamatabError(
      'invalid_request_error',
      `The ${kind === 'image' ? 'image' : 'sound'} ${url} can't be fetched: ${reason}, or send it as a data: URI.`,
      { param: 'messages', cause },
    );
  try {
    // As any stranger would get it: a prompt must not make use of the user's logins.
    const response = await fetch(url, {
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      signal: anySignal(signal, timeout),
    });
    if (!response.ok) throw failed(`HTTP ${response.status}. Check the address`);
    return await readCapped(response, () =>
      failed(`it has more than ${MAX_FETCHED_BYTES} bytes, which is the limit. Send a smaller one`),
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof LlamatabError) throw error;
    if (timeout.aborted || isAbort(error))
      throw failed(`it took more than ${FETCH_TIMEOUT / 1000} s. Try again`, error);
    throw failed('its server is down, or does not let this site read it (CORS). Have it send CORS headers', error);
  }
}

/** Reads the body up to the limit, whatever its headers claim. */
async function readCapped(response: Response, tooLong: () => LlamatabError): Promise<Uint8Array> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || value === undefined) return new Uint8Array(await new Blob(chunks).arrayBuffer());
    length += value.length;
    if (length > MAX_FETCHED_BYTES) {
      await reader?.cancel();
      throw tooLong();
    }
    chunks.push(value);
  }
}

/**
 * Puts the model's marker where the media are.
 * @throws LlamatabError with llama-server's message, if the model turns out not to accept such media.
 */
export function placeMarkers(messages: Json[], media: readonly Medium[], info: LoadedModelInfo['media']): Json[] {
  for (const { kind } of media) {
    if (!info[kind])
      throw unsupported(kind, kind === 'audio' ? '; audio also needs threads, so a cross-origin isolated page' : '');
  }
  return messages.map((message) =>
    Array.isArray(message.content) ? { ...message, content: joined(message.content, info.marker) } : message,
  );
}

/**
 * The engine samples after a token of text: a prompt that ends with a medium crashes it, and with it every request.
 * @param body With `MARKER_PART`s. Where the assistant's turn is opened after the last message, there is text.
 * @throws LlamatabError `invalid_request_error`
 */
export function requireTextAtEnd({ messages, add_generation_prompt }: Json): void {
  const last = (messages as Json[]).at(-1);
  const endsOpen = last?.role === 'assistant' || add_generation_prompt === false;
  if (endsOpen && Array.isArray(last?.content) && last.content.at(-1) === MARKER_PART) throw endsWithMedium('messages');
}

export function endsWithMedium(field: string): LlamatabError {
  return invalid(
    field,
    `'${field}' ends with an image or a sound, and the engine can't go on from there. Put text after it: a line break is enough.`,
  );
}

/** llama.cpp joins parts of text with a line break, but not beside a medium: so the marker joins the text around it. */
function joined(parts: Json[], marker: string): Json[] {
  const texts: string[] = [];
  let afterMarker = false;
  for (const part of parts) {
    const isMarker = part === MARKER_PART;
    const text = isMarker ? marker : (part.text as string);
    if ((isMarker || afterMarker) && texts.length > 0) texts.push(`${texts.pop()}${text}`);
    else texts.push(text);
    afterMarker = isMarker;
  }
  return texts.map((text) => ({ type: 'text', text }));
}
