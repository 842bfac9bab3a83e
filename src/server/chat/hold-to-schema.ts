/** Holds a chat's answer to its schema where llama.cpp, with the model's chat template, would take the schema and ignore it. */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import { schemaAsGrammar } from '../../engine/schema-way.ts';
import { invalid } from '../../errors.ts';
import type { Prepared } from '../generate/completions.ts';
import { isPresent } from '../http/json.ts';

/** Of a `json_object` without a schema. */
const ANY_OBJECT: Json = { type: 'object' };

/**
 * @param field What of the request wants a schema, for the error.
 * @throws LlamatabError 400 where the answer can't be held to it.
 */
export async function holdToSchema(
  prepared: Prepared,
  field: string,
  model: LoadedModel,
  signal: AbortSignal,
): Promise<Prepared> {
  const { response_format, json_schema, ...body } = prepared.body;
  if (!isPresent(response_format) && !isPresent(json_schema)) return prepared;
  const way = await model.schemaWay(signal);
  switch (way.by) {
    case 'schema':
      return prepared;
    case 'grammar': {
      const schema = isPresent(response_format) ? schemaOf(response_format as Json) : (json_schema as Json);
      return { ...prepared, body: { ...body, grammar: await schemaAsGrammar(model, schema, way.before, signal) } };
    }
    case 'nothing':
      throw invalid(
        field,
        `With this model's chat template, llama.cpp can't hold an answer to a schema, which '${field}' needs. ` +
          "Leave it out and check the answer, take another model, or send the prompt to /v1/completions with 'json_schema'.",
      );
  }
}

function schemaOf({ schema, json_schema }: Json): Json {
  return ((json_schema as Json | undefined)?.schema ?? schema ?? ANY_OBJECT) as Json;
}
