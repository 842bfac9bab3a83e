/** Asks by `fetch`, and reads the stream of server-sent events by itself: no library but llamatab. */
import { serve } from 'llamatab';

const { baseURL } = await serve();
const answer = document.querySelector('#answer') as HTMLElement;

const button = document.querySelector('button') as HTMLButtonElement;
button.addEventListener('click', async () => {
  answer.textContent = '';
  const response = await fetch(`${baseURL}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({
      messages: [{ role: 'user', content: 'What is the capital of France?' }],
      max_tokens: 100,
      stream: true,
    }),
  });
  if (!response.ok || response.body === null) {
    answer.textContent = (await response.json()).error.message;
    return;
  }
  let rest = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    // An event ends with an empty line, and may come in several chunks.
    const events = (rest + value).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const data = event.replace(/^data: /, '');
      if (event.startsWith('data: ') && data !== '[DONE]')
        answer.append(JSON.parse(data).choices[0]?.delta.content ?? '');
    }
  }
});
button.disabled = false;
