/** `GET /metrics`: llama-server's counters in Prometheus's format. */
import type { Monitor, Totals } from '../state/monitor.ts';

interface Metric {
  name: string;
  help: string;
  type: 'counter' | 'gauge';
  value: number;
}

/**
 * @param startedAt When the server started; milliseconds since 1970.
 * @returns The handler of `GET /metrics`. As in llama-server, averages are over the time since the last request.
 */
export function createMetrics(monitor: Monitor, startedAt: number): () => Response {
  let last: Totals = { ...monitor.totals };
  return () => {
    const since = last;
    last = { ...monitor.totals };
    const lines = metricsOf(monitor, since).flatMap(({ name, help, type, value }) => [
      `# HELP llamacpp:${name} ${help}`,
      `# TYPE llamacpp:${name} ${type}`,
      `llamacpp:${name} ${value}`,
    ]);
    return new Response(`${lines.join('\n')}\n`, {
      headers: {
        'Content-Type': 'text/plain; version=0.0.4',
        'Process-Start-Time-Unix': String(Math.floor(startedAt / 1000)),
      },
    });
  };
}

// biome-ignore format: a table
function metricsOf({ totals, workload }: Monitor, since: Totals): Metric[] {
  const counter = (name: string, help: string, value: number): Metric => ({ name, help, type: 'counter', value });
  const gauge = (name: string, help: string, value: number): Metric => ({ name, help, type: 'gauge', value });
  return [
    counter('prompt_tokens_total', 'Number of prompt tokens processed, excluding cached tokens', totals.promptTokens),
    counter('prompt_tokens_cached_total', 'Number of prompt tokens reused from the cache', totals.cachedTokens),
    counter('prompt_seconds_total', 'Total time spent processing prompts', totals.promptSeconds),
    counter('tokens_predicted_total', 'Number of generation tokens processed', totals.predictedTokens),
    counter('tokens_predicted_seconds_total', 'Total time spent generating tokens', totals.predictedSeconds),
    counter('n_decode_total', 'Total number of llama_decode() calls, excluding speculative decoding and multimodal decoding', workload.decodes),
    counter('n_tokens_max', 'Largest observed sequence length (prompt + generation)', totals.longestSequence),
    counter('spec_decode_num_draft_tokens_total', 'Speculative: Total draft tokens generated', totals.draftedTokens),
    counter('spec_decode_num_accepted_tokens_total', 'Speculative: Total draft tokens accepted by the target model', totals.acceptedTokens),
    // llama.cpp does not tell an answer's number of them.
    counter('spec_decode_num_drafts_total', 'Speculative: Total speculative decoding verification steps', 0),
    gauge('prompt_tokens_seconds', 'Average prompt throughput in tokens/s', ratio(totals.promptTokens - since.promptTokens, totals.promptSeconds - since.promptSeconds)),
    gauge('predicted_tokens_seconds', 'Average generation throughput in tokens/s', ratio(totals.predictedTokens - since.predictedTokens, totals.predictedSeconds - since.predictedSeconds)),
    gauge('requests_processing', 'Number of requests processing', workload.processing),
    gauge('requests_deferred', 'Number of requests deferred', workload.deferred),
    gauge('n_busy_slots_per_decode', 'Average number of busy slots per llama_decode() call', ratio(workload.busySlots, workload.decodes)),
  ];
}

function ratio(amount: number, of: number): number {
  return of > 0 ? amount / of : 0;
}
