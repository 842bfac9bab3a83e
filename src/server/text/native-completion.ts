/** `POST /completion` and `POST /completions`: text completions in llama-server's own format. */
import type { Json } from '../../engine/engine.ts';
import { collectAnswers } from '../generate/choices.ts';
import { type AnswerFormat, type CompletionPlan, complete, type Identity } from '../generate/completions.ts';
import { withModel } from '../generate/openai-format.ts';
import { isObject } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { encodeEvent } from '../http/sse.ts';
import type { ServerContext } from '../state/context.ts';
import { planText } from './text-completions.ts';

export async function nativeCompletion(scope: Scope, context: ServerContext): Promise<Response> {
  return complete(scope, context, inNativeFormat(await planText(await scope.body(), context)));
}

/** The plan, with answers in llama-server's own format, whose streams have no `[DONE]`. */
export function inNativeFormat(plan: Omit<CompletionPlan, 'format'>): CompletionPlan {
  const { responseFields } = plan.parameters;
  const format: AnswerFormat = {
    async *map(results, { identity, stream, tasks }) {
      const native = (result: Json, index: number) => nativeResult(result, index, identity, responseFields);
      if (stream) {
        for await (const [index, result] of results) yield native(result, index);
        return;
      }
      const answers = (await collectAnswers(results, tasks))?.map(native) ?? [];
      if (answers.length > 1) yield answers;
      else yield* answers;
    },
    events: { result: encodeEvent, error: encodeEvent, end: '' },
  };
  return {
    ...plan,
    format,
    prepare: async (model, signal) =>
      (await plan.prepare(model, signal)).map((prepared) => ({
        ...prepared,
        body: { ...prepared.body, verbose: true },
      })),
  };
}

/** The engine's `__verbose`, which holds llama-server's own format beside OpenAI's. */
function nativeResult({ __verbose: verbose }: Json, index: number, identity: Identity, fields: string[]): Json {
  const whole = withModel({ ...(verbose as Json), index }, identity);
  return fields.length > 0 && whole.stop === true ? pick(whole, fields) : whole;
}

/** The fields that exist, each under its whole path: `generation_settings/n_predict`. */
function pick(whole: Json, paths: string[]): Json {
  const picked: Json = {};
  for (const path of paths) {
    let value: unknown = whole;
    for (const key of path.split('/')) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
    if (value !== undefined) picked[path] = value;
  }
  return picked;
}
