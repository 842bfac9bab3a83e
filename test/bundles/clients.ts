/** In the page: the clients whose users the server is for, as their packages export them. */
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import OpenAI7 from 'openai-7';
import * as helpers7 from 'openai-7/helpers/zod';

export { createOpenAICompatible } from '@ai-sdk/openai-compatible';
export * as ai from 'ai';
export { z } from 'zod';

const openai6 = { OpenAI, zodResponseFormat, zodTextFormat };
/** By major version. One test is for both, in the older one's types: what it calls is the same. */
export const openaiClients = { 6: openai6, 7: { OpenAI: OpenAI7, ...helpers7 } as unknown as typeof openai6 };
