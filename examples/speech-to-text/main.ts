/** Writes down what is said in a file, with a model of the site that hears. */
import { serve } from 'llamatab';

const server = await serve({ preload: false });
const state = document.querySelector('#state') as HTMLElement;
const models = await server.models.list();
const model = models.find(({ capabilities }) => capabilities.includes('audio'));
state.textContent = model
  ? `${model.name} listens`
  : 'This site has no model that hears: npx llamatab add ggml-org/ultravox-v0_5-llama-3_2-1b-GGUF';

document.querySelector('input')?.addEventListener('change', async ({ target }) => {
  const [file] = (target as HTMLInputElement).files ?? [];
  if (file === undefined || model === undefined) return;
  const form = new FormData();
  form.set('file', file);
  form.set('model', model.id);
  // llama-server's field, for a model that finds no end.
  form.set('max_tokens', '200');
  const response = await fetch(`${server.baseURL}/audio/transcriptions`, { method: 'POST', body: form });
  const { text, error } = await response.json();
  const answer = document.querySelector('#answer') as HTMLElement;
  answer.textContent = text ?? error.message;
});
