/** A catalog of two models, for tests. */
import type { Catalog, CatalogModel } from '../../models/models.ts';

export const CHAT_MODEL: CatalogModel = {
  id: 'smollm2-135m-instruct',
  aliases: ['smollm2'],
  files: [{ name: 'smollm2.gguf', size: 100, sha256: '', pieces: [] }],
  capabilities: ['chat', 'completion'],
  contextLength: 2048,
  name: 'SmolLM2 135M Instruct',
  authors: 'Hugging Face',
  license: 'Apache-2.0',
};

export const EMBEDDING_MODEL: CatalogModel = {
  ...CHAT_MODEL,
  id: 'org/all-minilm-l6-v2',
  aliases: ['all-minilm-l6-v2'],
  files: [
    { name: 'minilm-1.gguf', size: 60, sha256: '', pieces: [] },
    { name: 'minilm-2.gguf', size: 40, sha256: '', pieces: [] },
  ],
  capabilities: ['embedding'],
};

export const CATALOG: Catalog = { version: 1, default: CHAT_MODEL.id, models: [CHAT_MODEL, EMBEDDING_MODEL] };
