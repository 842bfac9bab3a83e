/** `POST /tokenize`, `/detokenize` and `/apply-template`. */
import type { Json } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { planChat } from '../chat/chat-completions.ts';
import { json, jsonType, typeError } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import { findModel } from '../state/model-names.ts';
import { renderPrompt } from './count-tokens.ts';

/** `{content, add_special?, parse_special?, with_pieces?}` to `{tokens}`: ids, or ids with their text. */
export async function tokenize(scope: Scope, context: ServerContext): Promise<Response> {
  const body = await scope.body();
  const tokenizer = await tokenizerOf(body, scope, context);
  if (body.content === undefined) return json({ tokens: [] });
  const addSpecial = body.add_special === true;
  const tokens = encodeMixed(tokenizer, body.content, addSpecial, body.parse_special !== false);
  if (body.with_pieces !== true) return json({ tokens });
  return json({ tokens: tokens.map((id) => ({ id, piece: shownPiece(tokenizer.piece(id)) })) });
}

/** `{tokens}` to `{content}`. */
export async function detokenize(scope: Scope, context: ServerContext): Promise<Response> {
  const body = await scope.body();
  const tokenizer = await tokenizerOf(body, scope, context);
  const { tokens = [] } = body;
  if (!Array.isArray(tokens)) throw invalid('tokens', typeError('array', tokens), 'server_error');
  return json({ content: tokenizer.decode(tokens.map((token) => readToken(token, 'tokens'))) });
}

/** A chat request to `{prompt}`, as the model's template renders it. */
export async function applyTemplate(scope: Scope, context: ServerContext): Promise<Response> {
  const plan = await planChat(await scope.body(), context);
  return json({ prompt: await renderPrompt(plan, scope, context) });
}

async function tokenizerOf(body: Json, scope: Scope, context: ServerContext): Promise<Tokenizer> {
  const model = findModel(await context.models.catalog(), body.model, context.naming);
  return context.pool.lend(model, scope, (loaded) => loaded.tokenizer());
}

/**
 * UTF-16 units. Takes some seconds of the worker, which serves other requests too, and half a gigabyte of its memory.
 */
const MAX_CONTENT = 2 ** 21;

function checkLength(text: string): string {
  if (text.length <= MAX_CONTENT) return text;
  throw invalid('content', `'content' has ${text.length} characters; the limit is ${MAX_CONTENT}. Send it in parts.`);
}

/** A text, or an array of texts and token ids. Special tokens are added only if a text comes first. */
function encodeMixed(tokenizer: Tokenizer, content: unknown, addSpecial: boolean, parseSpecial: boolean): number[] {
  if (typeof content === 'string') return tokenizer.encode(checkLength(content), { addSpecial, parseSpecial });
  if (!Array.isArray(content)) throw invalid('content', typeError('string', content), 'server_error');
  return content.flatMap((part, index) =>
    typeof part === 'string'
      ? tokenizer.encode(checkLength(part), { addSpecial: addSpecial && index === 0, parseSpecial })
      : [readToken(part, 'content')],
  );
}

/** nlohmann::json accepts a boolean as a number, and truncates fractions. */
function readToken(value: unknown, param: string): number {
  const type = jsonType(value);
  if (type !== 'number' && type !== 'boolean') throw invalid(param, typeError('number', value), 'server_error');
  return Math.trunc(Number(value));
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** As text; as bytes if it is only a part of a character. */
function shownPiece(bytes: Uint8Array): string | number[] {
  try {
    return UTF8.decode(bytes);
  } catch {
    return [...bytes];
  }
}
