/** One streamed chat completion, the same for both contenders, and its times. */

export interface Completion {
  /** Milliseconds since 1970, with fractions: when it was asked for, when its first and its last text came. */
  start: number;
  first: number;
  last: number;
  text: string;
}

/** Of equal length whatever the text, and computed from its first token on. */
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
  if (received !== tokens) throw new Error(`${received} tokens came, not ${tokens}.`);
  return { start, first, last, text };
}

/** The same clock in pages and workers. */
export const now = () => performance.timeOrigin + performance.now();
