// A worker of the site that knows nothing of llamatab: answers with what a chat request gave.
self.onmessage = async ({ data }) => {
  const response = await fetch('/v1/chat/completions', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(data),
  });
  self.postMessage({ status: response.status, body: await response.json() });
};
