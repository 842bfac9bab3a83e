/**
 * How a model's answers in chats are held to a schema. llama.cpp does so for most chat templates; for some, whose formats it
 * reads with code of their own (functionary v3.2, Kimi K2, GigaChat 3), it takes a schema and makes nothing of it. A grammar
 * is kept there, if it allows for what the format puts before the answer.
 */
import { LlamatabError } from '../errors.ts';
import type { CompletionRequest, Json, LoadedModel } from './engine.ts';
import { endedAtOnce } from './trial.ts';

export type SchemaWay =
  | { by: 'schema' }
  /** With `before` in front of what the schema says. */
  | { by: 'grammar'; before: string }
  | { by: 'nothing' };

type Model = Pick<LoadedModel, 'complete' | 'info'>;

/** What stands before an answer: nothing, or functionary's recipient, which is the user. */
const BEFORE_ANSWERS = ['', 'all\n'];
const SAID = '7';
const MESSAGES = [{ role: 'user', content: 'Say a number.' }];
const ANOTHER_FORMAT = /output that does not match the expected/;

export async function schemaWay(model: Model, signal?: AbortSignal): Promise<SchemaWay> {
  if (await keepsSchemas(model, signal)) return { by: 'schema' };
  for (const before of BEFORE_ANSWERS) {
    if (await isAnswer(model, before, signal)) return { by: 'grammar', before };
  }
  return { by: 'nothing' };
}

async function keepsSchemas(model: Model, signal: AbortSignal | undefined): Promise<boolean> {
  // A bare `json_schema` would do even there, with no regard for the format.
  const response_format = { type: 'json_schema', json_schema: { schema: { const: Number(SAID) } } };
  const held = { messages: MESSAGES, seed: 1, response_format };
  try {
    return (await grammarOf(model, { kind: 'chat', body: endedAtOnce(held, model.info), signal })) !== '';
  } catch (error) {
    // A template that raises on such a chat: it is left to be, as nothing is known.
    if (error instanceof LlamatabError && error.type === 'invalid_request_error') return true;
    throw error;
  }
}

/** The grammar that llama.cpp makes of a schema, with `before` in front of it. */
export async function schemaAsGrammar(
  model: Model,
  schema: Json,
  before: string,
  signal?: AbortSignal,
): Promise<string> {
  const body = endedAtOnce({ prompt: SAID, seed: 1, json_schema: schema }, model.info);
  const grammar = await grammarOf(model, { kind: 'text', body, signal });
  if (before === '') return grammar;
  return `${grammar.replace(/^root ::=/m, 'answer-after ::=')}\nroot ::= ${JSON.stringify(before)} answer-after\n`;
}

async function grammarOf({ complete }: Model, request: CompletionRequest): Promise<string> {
  for await (const { __verbose: shown } of complete(request)) {
    const { generation_settings: settings } = shown as { generation_settings: { grammar: string } };
    return settings.grammar;
  }
  throw new LlamatabError('server_error', 'llama.cpp ended without saying what its settings were.');
}

/** Whether a grammar with this before the answer gives the answer as the message's content. */
async function isAnswer({ complete }: Model, before: string, signal: AbortSignal | undefined): Promise<boolean> {
  const grammar = `root ::= ${JSON.stringify(before + SAID)}`;
  const body = { messages: MESSAGES, seed: 1, grammar, stream: false, n_predict: 2 * grammar.length };
  try {
    for await (const { choices } of complete({ kind: 'chat', body, signal })) {
      const [choice] = choices as { message: { content: unknown } }[];
      return choice?.message.content === SAID;
    }
  } catch (error) {
    if (!(error instanceof LlamatabError && ANOTHER_FORMAT.test(error.message))) throw error;
  }
  return false;
}
