/** In the page: the clients whose users the server is for, as their packages export them. */
export { createOpenAICompatible } from '@ai-sdk/openai-compatible';
export * as ai from 'ai';
export { default as OpenAI } from 'openai';
export { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
export { z } from 'zod';
