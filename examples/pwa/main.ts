/**
 * llamatab's service worker keeps the site's files and the model, so that what a manifest adds is enough for an app that is installed
 * and opened without a network. One that has a service worker of its own lets that load llamatab's: see docs/deployment.md.
 */
import { serve } from 'llamatab';

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
