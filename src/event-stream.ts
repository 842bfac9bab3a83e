/** Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream */

/**
 * A parser that keeps what is incomplete: give it the text as it comes, cut anywhere, and it returns the `data` of the
 * events that are whole by then. Event names, ids and comments are left out: `/v1` streams use none.
 */
export function createSseParser(): (text: string) => string[] {
  let line = '';
  let data: string[] = [];
  let afterCarriageReturn = false;

  return (text) => {
    const events: string[] = [];
    for (const piece of text.split(/(\r\n|\r|\n)/)) {
      if (piece === '') continue;
      if (piece === '\n' && afterCarriageReturn) {
        // The second half of a CRLF that was cut in two: its line has ended already.
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

/** The `data` of each event of a response's body. Leaving the loop early cancels the body, which stops the generation. */
export async function* readSse(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  // Not `for await` over the body: Safari has no async iteration of streams.
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parse = createSseParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parse(decoder.decode(value, { stream: true }));
    }
  } finally {
    // Rejects when the body has failed already; that failure has been thrown by `read()`.
    reader.cancel().catch(() => {});
  }
}
