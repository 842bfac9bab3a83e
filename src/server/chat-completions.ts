/** `POST /v1/chat/completions` */
import { readChat } from './chat-params.ts';
import { complete } from './completions.ts';
import { randomId, type ServerContext } from './context.ts';
import { readBody } from './json.ts';
import { findModel } from './model-names.ts';
import { prepareTools } from './tools.ts';

export async function chatCompletions(request: Request, context: ServerContext): Promise<Response> {
  const body = await readBody(request);
  const parameters = readChat(body, context.random);
  const model = findModel(await context.models.catalog(), body.model, context.naming);
  return complete(request, context, {
    kind: 'chat',
    model,
    parameters,
    prepare: ({ info }) => prepareTools(parameters.body, parameters.tools, info.metadata, () => randomId(context)),
  });
}
