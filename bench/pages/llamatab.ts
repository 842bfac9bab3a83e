/** `/v1/chat/completions`, streamed through the service worker, with the OpenAI client. */
import OpenAI from 'openai';
import { serve } from '../../src/index.ts';
import { complete, contend } from './completion.ts';

const openai = new OpenAI({
  baseURL: `${location.origin}/v1`,
  apiKey: 'local',
  dangerouslyAllowBrowser: true,
  maxRetries: 0,
});

async function load(): Promise<void> {
  const { status } = await serve();
  if (!status.intercepts) throw new Error(status.interceptsNot);
}

contend(load(), (prompts, tokens) =>
  Promise.all(
    prompts.map((prompt) =>
      complete(prompt, tokens, (request) => openai.chat.completions.create({ model: 'local', ...request })),
    ),
  ),
);
