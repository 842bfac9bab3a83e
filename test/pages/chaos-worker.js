// A worker of the site that asks, and knows nothing of llamatab.
import { ask } from './chaos-ask.js';

self.onmessage = async ({ data: { id, request } }) => {
  const [path, body, named] = request;
  self.postMessage({ id, outcome: await ask(fetch, path, body, named) });
};

self.postMessage('ready');
