/** The page registers the site's service worker before it calls `serve()`, which then takes that one. */
import { serve } from 'llamatab';

await navigator.serviceWorker.register('./service-worker.js', { type: 'module', updateViaCache: 'none' });
await navigator.serviceWorker.ready;
const { baseURL } = await serve();
const button = document.querySelector('button') as HTMLButtonElement;
button.addEventListener('click', async () => {
  const response = await fetch(`${baseURL}/completions`, {
    method: 'POST',
    body: JSON.stringify({ prompt: 'Once upon a time', max_tokens: 40 }),
  });
  const answer = document.querySelector('#answer') as HTMLElement;
  answer.textContent = (await response.json()).choices[0].text;
});
button.disabled = false;
