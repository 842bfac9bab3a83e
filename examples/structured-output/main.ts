/** A JSON schema holds the answer to a form, token by token: whatever the model, what comes can be parsed. */
import { serve } from 'llamatab';
import OpenAI from 'openai';

const { baseURL } = await serve();
const openai = new OpenAI({ baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });

const CITY = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 20 },
    inhabitants: { type: 'integer', minimum: 0, maximum: 50_000_000 },
    continent: { enum: ['Africa', 'America', 'Asia', 'Australia', 'Europe'] },
  },
  required: ['name', 'inhabitants', 'continent'],
  additionalProperties: false,
};

const button = document.querySelector('button') as HTMLButtonElement;
button.addEventListener('click', async () => {
  const { choices } = await openai.chat.completions.create({
    model: 'local',
    messages: [{ role: 'user', content: 'Describe Paris.' }],
    response_format: { type: 'json_schema', json_schema: { name: 'city', schema: CITY, strict: true } },
  });
  const city = JSON.parse(choices[0]?.message.content ?? '');
  const answer = document.querySelector('#answer') as HTMLElement;
  answer.textContent = `${city.name}, ${city.continent}: ${city.inhabitants} people`;
});
button.disabled = false;
