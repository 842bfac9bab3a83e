/** `POST /completion` and `POST /completions`: text completions in llama-server's own shape. */
import type { Json } from '../../engine/engine.ts';
import { type AnswerShape, type CompletionPlan, complete, type Identity, withModel } from '../generate/completions.ts';
import { isObject } from '../http/json.ts';
import type { Scope } from '../http/scope.ts';
import { encodeEvent } from '../http/sse.ts';
import type { ServerContext } from '../state/context.ts';
import { planText } from './text-completions.ts';

export async function nativeCompletion(scope: Scope, context: ServerContext): Promise<Response> {
  return complete(scope, context, inNativeShape(await planText(await scope.body(), context)));
}

/** The plan whose answers have llama-server's own shape, and whose stream has no `[DONE]`. */
export function inNativeShape(plan: CompletionPlan): CompletionPlan {
  const { responseFields } = plan.parameters;
  const shape: AnswerShape = {
    chunk: (result, index, identity) => native(result, index, identity, responseFields),
    whole(results, _, identity) {
      const [answer = {}, ...more] = results.map((result, index) => native(result, index, identity, responseFields));
      return more.length === 0 ? answer : [answer, ...more];
    },
    events: { result: encodeEvent, error: encodeEvent, end: '' },
  };
  return {
    ...plan,
    shape,
    prepare: async (model, signal) =>
      ((await plan.prepare?.(model, signal)) ?? []).map((prepared) => ({
        ...prepared,
        body: { ...prepared.body, verbose: true },
      })),
  };
}

/** Of what the engine gives in OpenAI's shape, that which llama-server has in `__verbose`. */
function native({ __verbose: verbose }: Json, index: number, identity: Identity, fields: string[]): Json {
  const whole = withModel({ ...(verbose as Json), index }, identity);
  return fields.length > 0 && whole.stop === true ? pick(whole, fields) : whole;
}

/** Those that there are, each under its whole path: `generation_settings/n_predict`. */
function pick(whole: Json, paths: string[]): Json {
  const picked: Json = {};
  for (const path of paths) {
    let value: unknown = whole;
    for (const key of path.split('/')) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
    if (value !== undefined) picked[path] = value;
  }
  return picked;
}
