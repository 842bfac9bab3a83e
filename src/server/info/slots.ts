/** `GET /slots`: what each slot of a model is computing. */
import type { Json, LoadedModel } from '../../engine/engine.ts';
import { invalid } from '../../errors.ts';
import type { Scope } from '../http/scope.ts';
import type { ServerContext } from '../state/context.ts';
import type { Monitor, Task } from '../state/monitor.ts';
import { describeAsked } from './asked-model.ts';
import { defaultSettings } from './props.ts';

export function getSlots(scope: Scope, context: ServerContext): Promise<Response> {
  const { monitor } = context;
  return describeAsked(
    scope,
    context,
    (_, loaded, query) => {
      if (query.get('fail_on_no_slot') && loaded.workload.processing >= loaded.info.plan.slots) {
        throw invalid('fail_on_no_slot', 'no slot available', 'unavailable_error');
      }
      return describeSlots(loaded, monitor);
    },
    ({ slots }) => slots as Json[],
  );
}

export function describeSlots(loaded: LoadedModel, monitor: Monitor): Json[] {
  return monitor.activity(loaded).slots.map((task, id) => ({
    id,
    n_ctx: loaded.info.plan.contextSize,
    speculative: loaded.info.plan.drafting !== 'none',
    is_processing: task !== null,
    ...(task && describeTask(task)),
  }));
}

/** Omits the prompt: it belongs to its sender, and llama-server shows it only if started with the option. */
function describeTask({ id, body, results }: Task): Json {
  const { messages: _, prompt: __, tools: ___, ...params } = body;
  const limit = typeof params.n_predict === 'number' ? params.n_predict : -1;
  return {
    id_task: id,
    params: { ...defaultSettings(), ...params },
    next_token: [{ has_next_token: true, n_remain: limit < 0 ? -1 : Math.max(0, limit - results), n_decoded: results }],
  };
}
