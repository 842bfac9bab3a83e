/** What a native llama-server answered, with the vocabularies of the embedded models; their engines are the browser's tests'. */

import { expect, test } from 'vitest';
import { CATALOG, EMBEDDING_MODEL } from '../../src/server/testing/catalog.ts';
import { createTestServer } from '../../src/server/testing/test-server.ts';
import { readTokenizer } from '../../src/tokenizer/make-tokenizer.ts';
import recorded from '../golden/tokenizer.json' with { type: 'json' };
import { embeddedModel } from './vocabularies.ts';

const MODELS = { chat: 'smollm2-135m-instruct', embeddings: 'all-minilm-l6-v2' } as const;

test.for(recorded.filter(({ path }) => path.endsWith('tokenize')))(
  '$server: $path $body',
  async ({ server, path, body, status, json }) => {
    const model = MODELS[server as keyof typeof MODELS];
    const tested = createTestServer({}, server === 'chat' ? CATALOG : { ...CATALOG, default: EMBEDDING_MODEL.id });
    tested.engine.tokenizer = await readTokenizer(await embeddedModel(model), model);
    const response = await tested.send(path, body);
    expect(await response.json()).toMatchObject(json);
    expect(response.status).toBe(status);
  },
);
