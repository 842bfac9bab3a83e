/** `/v1/chat/completions`, streamed through the service worker, with the OpenAI client. */

import { serve } from 'llamatab';
import OpenAI from 'openai';
import { complete } from './completion.ts';
import { contend } from './contender.ts';

const openai = new OpenAI({
  baseURL: `${location.origin}/v1`,
  apiKey: 'local',
  dangerouslyAllowBrowser: true,
  maxRetries: 0,
});

contend({
  async load() {
    const { status } = await serve();
    if (!status.intercepts) throw new Error(status.interceptsNot);
  },
  completeAll: (prompts, tokens) =>
    Promise.all(
      prompts.map((prompt) =>
        complete(prompt, tokens, (request) => openai.chat.completions.create({ model: 'local', ...request })),
      ),
    ),
  /** The device plan. */
  async info() {
    const response = await fetch('/v1/props?model=local');
    const { engine } = await response.json();
    return engine;
  },
});
