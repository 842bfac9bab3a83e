/**
 * The model says which function to call, with which arguments; the page calls it, and tells the model what came of it. A model this
 * small seldom decides well by itself, so `tool_choice` asks for the call; a larger one is left to choose.
 */
import { serve } from 'llamatab';
import OpenAI from 'openai';

const { baseURL } = await serve();
const openai = new OpenAI({ baseURL, apiKey: 'local', dangerouslyAllowBrowser: true });

const TEMPERATURES: Record<string, number> = { Paris: 18, Oslo: 4 };
const tools: OpenAI.Chat.ChatCompletionFunctionTool[] = [
  {
    type: 'function',
    function: {
      name: 'temperature',
      description: 'The temperature in a city, in degrees Celsius',
      parameters: {
        type: 'object',
        properties: { city: { enum: Object.keys(TEMPERATURES) } },
        required: ['city'],
        additionalProperties: false,
      },
    },
  },
];

const button = document.querySelector('button') as HTMLButtonElement;
button.addEventListener('click', async () => {
  const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [{ role: 'user', content: 'How warm is it in Paris?' }];
  const asked = await openai.chat.completions.create({ model: 'local', messages, tools, tool_choice: 'required' });
  const message = asked.choices[0]?.message;
  const [call] = message?.tool_calls ?? [];
  if (message === undefined || call?.type !== 'function') return;
  const { city } = JSON.parse(call.function.arguments);
  const called = document.querySelector('#called') as HTMLElement;
  called.textContent = `${call.function.name}(${city}) = ${TEMPERATURES[city]}`;

  messages.push(message, { role: 'tool', tool_call_id: call.id, content: `${TEMPERATURES[city]} °C` });
  const told = await openai.chat.completions.create({ model: 'local', messages, max_tokens: 60 });
  const answer = document.querySelector('#answer') as HTMLElement;
  answer.textContent = told.choices[0]?.message.content ?? '';
});
button.disabled = false;
