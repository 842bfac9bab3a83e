/**
 * Reads server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 *
 * Not `EventSource`: it can neither POST, nor send an API key, nor read the answer of `server.fetch`. The page and the console
 * both read their streams with this, and it knows neither of them.
 */

/**
 * A parser that keeps what is incomplete: give it the text as it comes, cut anywhere, and it returns the `data` of the
 * events that are complete by then. Names, ids and comments are dropped: what a page reads of `/v1` carries all in its data.
 */
export function createEventParser(): (text: string) => string[] {
  let line = '';
  let data: string[] = [];
  let afterCarriageReturn = false;

  return (text) => {
    const events: string[] = [];
    for (const piece of text.split(/(\r\n|\r|\n)/)) {
      if (piece === '') continue;
      if (piece === '\n' && afterCarriageReturn) {
        // The second half of a CRLF that arrived in two chunks: its line has ended already.
        afterCarriageReturn = false;
        continue;
      }
      afterCarriageReturn = piece === '\r';
      if (piece !== '\r' && piece !== '\n' && piece !== '\r\n') {
        line += piece;
        continue;
      }
      if (line === '') {
        if (data.length > 0) events.push(data.join('\n'));
        data = [];
      } else if (line === 'data' || line.startsWith('data:')) {
        data.push(line.slice(5).replace(/^ /, ''));
      }
      line = '';
    }
    return events;
  };
}

/**
 * Yields the `data` of each event in a response's body. Leaving the loop early cancels the body, and so the work behind it.
 * @throws What reading the body throws: the connection was lost, or the request aborted.
 */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  // Not `for await` over the body, nor `pipeThrough(new TextDecoderStream())` for its sake: Safari can't iterate over streams.
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parse = createEventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parse(decoder.decode(value, { stream: true }));
    }
  } finally {
    // Rejects if the body has failed, which `read()` has already thrown.
    reader.cancel().catch(() => {});
  }
}
