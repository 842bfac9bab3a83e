/** An app as it was written for a cloud: that cloud's client, its address, a model of its, a key. It is not changed. */
import OpenAI from 'openai';

const openai = new OpenAI({ apiKey: 'sk-a-key-for-the-cloud', dangerouslyAllowBrowser: true });

const button = document.querySelector('button') as HTMLButtonElement;
button.addEventListener('click', async () => {
  const answer = document.querySelector('#answer') as HTMLElement;
  answer.textContent = '';
  const stream = await openai.chat.completions.create({
    model: 'gpt-4o-mini',
    messages: [{ role: 'user', content: 'What is the capital of France?' }],
    max_tokens: 100,
    stream: true,
  });
  for await (const chunk of stream) answer.append(chunk.choices[0]?.delta.content ?? '');
});
button.disabled = false;
