/** Server-sent events of our own requests. */

/** The JSON of each event of an answer. Leaving the loop cancels it. */
export async function* readEvents<T>(response: Response): AsyncGenerator<T> {
  if (!response.body) return;
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      // What does not begin so is a comment, which keeps the connection alive, or the word that it is done.
      if (event.startsWith('data: {')) yield JSON.parse(event.slice('data: '.length));
    }
  }
}
