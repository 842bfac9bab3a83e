/** Bodies of `multipart/form-data`: OpenAI's clients send sounds in them. */
import type { Json } from '../../engine/engine.ts';
import { LlamatabError } from '../../errors.ts';
import type { Scope } from '../http/scope.ts';

/**
 * Bytes. OpenAI takes 25 MB; a WAV file of a compact disc's quality has that after two and a half minutes, so some more. A
 * sound is in memory three times on its way to the engine, whose samples take as much again.
 */
export const MAX_FORM_BYTES = 64 * 1024 * 1024;

export interface Form {
  /** Texts, as llama-server sees them: of a name that comes several times, an array. */
  fields: Json;
  files: Map<string, File>;
}

/**
 * A form's texts and files. What is no form is read as JSON, as in llama-server: an object without files.
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
