/** Reads `multipart/form-data`, in which OpenAI's clients send sounds. */
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { Scope } from '../http/scope.ts';

/**
 * Bytes. OpenAI's limit is 25 MB, which a WAV file of CD quality reaches after two and a half minutes. On its way to the
 * engine a sound is copied three times, and its samples take as much memory again.
 */
export const MAX_FORM_BYTES = 64 * 1024 * 1024;

export interface Form {
  /** The text fields. Like llama-server, an array for a name that occurs several times. */
  fields: Json;
  files: Map<string, File>;
}

/**
 * The fields and files of a form. Like llama-server, reads any other body as JSON: fields without files.
 * @throws LlamatabError 400 for a form that can't be read, or over `MAX_FORM_BYTES`.
 */
export async function readForm(scope: Scope): Promise<Form> {
  const { request } = scope;
  if (!isForm(request)) return { fields: await scope.body(), files: new Map() };
  const body = await request.arrayBuffer();
  if (body.byteLength > MAX_FORM_BYTES) {
    throw fault(
      `The request body has ${body.byteLength} bytes; the limit is ${MAX_FORM_BYTES}. Send a shorter sound, or one in a compressed format such as MP3.`,
    );
  }
  const fields: Json = {};
  const files = new Map<string, File>();
  for (const [name, value] of await parse(body, request.headers)) {
    if (typeof value !== 'string') files.set(name, value);
    else if (!Object.hasOwn(fields, name)) fields[name] = value;
    else fields[name] = [fields[name], value].flat();
  }
  return { fields, files };
}

function isForm({ headers }: Request): boolean {
  return /^multipart\/form-data\b/i.test(headers.get('Content-Type') ?? '');
}

async function parse(body: ArrayBuffer, headers: Headers): Promise<FormData> {
  try {
    return await new Response(body, { headers: { 'Content-Type': headers.get('Content-Type') ?? '' } }).formData();
  } catch (cause) {
    throw fault(
      'The body can\'t be read as multipart/form-data. Let the client set "Content-Type", which names the boundary.',
      cause,
    );
  }
}

function fault(message: string, cause?: unknown): LlamatabError {
  return new LlamatabError('invalid_request_error', message, { cause });
}
