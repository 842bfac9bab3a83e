/** Knows of llamatab nothing but an address. */
addEventListener('message', async ({ data: url }: MessageEvent<string>) => {
  const response = await fetch(url, {
    method: 'POST',
    body: JSON.stringify({ prompt: 'Once upon a time', max_tokens: 40 }),
  });
  const { choices, error } = await response.json();
  postMessage(choices?.[0]?.text ?? error.message);
});
