/** What has come of each request that is under way here. @type {Set<() => object>} */
const requests = new Set();
export const underWay = () => Array.from(requests, (describe) => describe());

/**
 * What came of a request: its body as far as it got, why it got no further, and the longest silence in milliseconds.
 * @param {typeof globalThis.fetch} fetch
 * @param {string} path
 * @param {object} body
 * @param {boolean} named Whether the stream goes on without its page.
 */
export async function ask(fetch, path, body, named) {
  let last = performance.now();
  let silence = 0;
  let status = 0;
  let text = '';
  const describe = () => ({ path, status, text: text.slice(-200), silence: performance.now() - last });
  requests.add(describe);
  const hear = () => {
    silence = Math.max(silence, performance.now() - last);
    last = performance.now();
  };
  try {
    const headers = named ? { 'X-Conversation-Id': crypto.randomUUID() } : {};
    const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
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
  } finally {
    requests.delete(describe);
  }
}
