/** A page that asks a model on the device through the OpenAI SDK. The SDK knows nothing of llamatab but its address. */
import { serve } from 'llamatab';
import OpenAI from 'openai';

const find = <T extends Element>(selector: string) => document.querySelector(selector) as T;

const server = await serve();
server.subscribe(({ models }) => {
  const model = models.find((model) => model.default);
  const percent = model?.progress ? ` ${Math.round((100 * model.progress.loaded) / model.progress.total)} %` : '';
  find('#state').textContent = model ? `${model.name}: ${model.error ?? model.state}${percent}` : 'Starting…';
});

const openai = new OpenAI({ baseURL: server.baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });

find('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const answer = find('#answer');
  answer.textContent = '';
  try {
    const stream = await openai.chat.completions.create({
      model: 'local',
      messages: [{ role: 'user', content: find<HTMLTextAreaElement>('#question').value }],
      max_tokens: 200,
      stream: true,
    });
    for await (const chunk of stream) answer.append(chunk.choices[0]?.delta.content ?? '');
  } catch (error) {
    answer.textContent = error instanceof Error ? error.message : String(error);
  }
});
