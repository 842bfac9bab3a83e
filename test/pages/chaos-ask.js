/**
 * What came of a request: its body as far as it got, why it got no further, and the longest silence in milliseconds.
 * @param {typeof globalThis.fetch} fetch
 * @param {string} path
 * @param {object} body
 */
export async function ask(fetch, path, body) {
  let last = performance.now();
  let silence = 0;
  let status = 0;
  let text = '';
  const hear = () => {
    silence = Math.max(silence, performance.now() - last);
    last = performance.now();
  };
  try {
    const response = await fetch(path, { method: 'POST', body: JSON.stringify(body) });
    status = response.status;
    const reader = /** @type {ReadableStream<BufferSource>} */ (response.body)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    for (;;) {
      const { done, value } = await reader.read();
      hear();
      if (done) return { status, text, silence, failure: null };
      text += value;
    }
  } catch (error) {
    hear();
    return { status, text, silence, failure: String(error) };
  }
}
