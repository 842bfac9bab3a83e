/**
 * Going on with a text whose beginning another engine has written, and which this one would have written in another way: as a
 * text that is continued (assistant prefill), which is an answer that the model could have given.
 */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import { cannotGoOn } from '../http/continuation.ts';
import { isPresent } from '../http/json.ts';
import type { CompletionPlan, Prepared } from './completions.ts';
import { OPENAI_FORMAT } from './openai-format.ts';

/** What of a request's body holds the answer to a form, in the middle of which no grammar can begin. */
const FORMS = ['grammar', 'json_schema', 'response_format', 'tools'];

/**
 * @param given The data of the events that were delivered.
 * @returns the plan of the rest; null where the answer is not one plain text.
 */
export function continueText(plan: CompletionPlan, given: Json[]): CompletionPlan | null {
  const { parameters, format, perPrompt, kind } = plan;
  const { body, echo } = parameters;
  const text = plainTextOf(given);
  if (text === null || format !== OPENAI_FORMAT || perPrompt !== 1 || echo) return null;
  if (FORMS.some((field) => isPresent(body[field]))) return null;
  return {
    ...plan,
    async prepare(loaded, signal) {
      const [prompt, ...others] = await plan.prepare(loaded, signal);
      if (prompt === undefined || others.length > 0) throw cannotGoOn();
      return [await continued(prompt, kind, text, loaded)];
    },
  };
}

/** The text so far. Null if there was anything else: thoughts, a call, an end, several answers. */
function plainTextOf(given: Json[]): string | null {
  let text = '';
  for (const { choices } of given) {
    // How far the prompt has come.
    if (!Array.isArray(choices)) continue;
    const [choice, ...others] = choices as Json[];
    if (choice === undefined || others.length > 0 || choice.index !== 0 || choice.finish_reason !== null) return null;
    const { role, content, ...rest } = (choice.delta ?? { content: choice.text }) as Json;
    if (Object.keys(rest).length > 0) return null;
    text += typeof content === 'string' ? content : '';
  }
  return text;
}

async function continued(
  prepared: Prepared,
  kind: CompletionPlan['kind'],
  text: string,
  loaded: LoadedModel,
): Promise<Prepared> {
  const written = (await loaded.tokenizer()).encode(text, { parseSpecial: false }).length;
  const { body, correct } = prepared;
  const limit = body.n_predict as number | undefined;
  return {
    ...prepared,
    body: {
      ...body,
      ...(kind === 'chat'
        ? { messages: withBeginning(body.messages as Json[], text) }
        : { prompt: body.prompt + text }),
      ...(limit === undefined || limit < 0 ? {} : { n_predict: Math.max(0, limit - written) }),
    },
    correct: (results, newId) => afterBeginning(correct?.(results, newId) ?? results, written),
  };
}

/** llama.cpp continues a last message that is the assistant's. */
function withBeginning(messages: Json[], text: string): Json[] {
  const last = messages.at(-1);
  if (last?.role !== 'assistant') return [...messages, { role: 'assistant', content: text }];
  return [...messages.slice(0, -1), { ...last, content: withMore(last.content, text) }];
}

/** In the last part, where there are several: a part of its own might begin a line. */
function withMore(content: unknown, text: string): unknown {
  if (!Array.isArray(content)) return `${content ?? ''}${text}`;
  const { text: before = '', ...part } = (content.at(-1) ?? { type: 'text' }) as { text?: string };
  return [...content.slice(0, -1), { ...part, text: `${before}${text}` }];
}

/** Without the chunk that begins a message. Tokens of the beginning were written, though they came as a prompt. */
async function* afterBeginning(results: AsyncIterable<Json>, written: number): AsyncGenerator<Json> {
  for await (const result of results) {
    const [choice] = result.choices as { delta?: Json }[];
    if (isPresent(choice?.delta?.role)) continue;
    const usage = result.usage as { prompt_tokens: number; completion_tokens: number } | undefined;
    if (usage === undefined) yield result;
    else {
      const { prompt_tokens, completion_tokens } = usage;
      yield {
        ...result,
        usage: {
          ...usage,
          prompt_tokens: prompt_tokens - written,
          completion_tokens: completion_tokens + written,
        },
      };
    }
  }
}
