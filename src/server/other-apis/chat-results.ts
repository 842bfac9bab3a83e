/** Reads a chat's results, whole or in chunks, for other APIs. */
import type { Json } from '../../engine/engine.ts';

export interface ChatUsage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_tokens_details?: { cached_tokens: number };
}

export interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

/** What a chunk adds; empty strings for nothing. */
export interface ChatDelta {
  reasoning: string;
  text: string;
  /** `given` is a part of the arguments' JSON. `id` and `name` come with a call's first part. */
  calls: { index: number; id?: string | undefined; name?: string | undefined; given: string }[];
}

interface ChunkCall {
  index: number;
  id?: string;
  function?: { name?: string; arguments?: string };
}

export function readChunk({ choices }: Json): ChatDelta {
  const [choice] = choices as { delta?: Json }[];
  const { reasoning_content, content, tool_calls = [] } = choice?.delta ?? {};
  return {
    reasoning: textOf(reasoning_content),
    text: textOf(content),
    calls: (tool_calls as ChunkCall[]).map(({ index, id, function: called }) => ({
      index,
      id,
      name: called?.name,
      given: called?.arguments ?? '',
    })),
  };
}

/** Empty for null and undefined. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
