/** One streamed chat completion, the same for both contenders, and its times. */

export interface Completion {
  /** Milliseconds since 1970, with fractions: of the request, of its first text, and of its last. */
  start: number;
  first: number;
  last: number;
  text: string;
}

/** The answer has a fixed length, whatever its text, and the prompt is computed from its first token on. */
const requestFor = (prompt: string, tokens: number) => ({
  messages: [{ role: 'user' as const, content: prompt }],
  max_tokens: tokens,
  temperature: 0,
  seed: 42,
  ignore_eos: true,
  cache_prompt: false,
  stream: true as const,
  stream_options: { include_usage: true },
});

interface Chunk {
  choices: { delta: { content?: string | null } }[];
  usage?: { completion_tokens: number } | null;
}

/** @param open Sends the request. */
export async function complete(
  prompt: string,
  tokens: number,
  open: (request: ReturnType<typeof requestFor>) => PromiseLike<AsyncIterable<Chunk>>,
): Promise<Completion> {
  const request = requestFor(prompt, tokens);
  const start = now();
  let first = 0;
  let last = 0;
  let received = 0;
  let text = '';
  for await (const { choices, usage } of await open(request)) {
    const content = choices[0]?.delta.content;
    if (content) {
      last = now();
      first ||= last;
      text += content;
    }
    received = usage?.completion_tokens ?? received;
  }
  if (received !== tokens) throw new Error(`${received} tokens came instead of ${tokens}.`);
  return { start, first, last, text };
}

/** A clock that pages and workers share. */
export const now = () => performance.timeOrigin + performance.now();
