/** The page serves, and a worker of its own asks: by plain `fetch`, which the service worker answers there too. */
import { serve } from 'llamatab';

const { baseURL } = await serve();
const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
worker.onmessage = ({ data }: MessageEvent<string>) => {
  const answer = document.querySelector('#answer') as HTMLElement;
  answer.textContent = data;
};
const button = document.querySelector('button') as HTMLButtonElement;
button.addEventListener('click', () => worker.postMessage(`${baseURL}/completions`));
button.disabled = false;
