/** Makes an entry of the catalog from what a GGUF says about itself. */
import type { GgufHeader } from '../gguf/header.ts';
import { trainedContext } from '../gguf/memory.ts';
import type { Capability } from './models.ts';

/** Architectures that only make embeddings, though their headers may lack a pooling type. */
const ENCODERS =
  /^(bert|modern-bert|nomic-bert|nomic-bert-moe|neo-bert|jina-bert-v2|jina-bert-v3|eurobert|gemma-embedding)$/;

/** llama.cpp's `LLAMA_POOLING_TYPE_RANK`. */
const POOLING_RANK = 4;

export interface Description {
  name: string;
  authors: string;
  license: string;
  licenseUrl?: string;
  homepage?: string;
  capabilities: Capability[];
  /** Tokens. */
  contextLength: number;
}

/** @param header Of the model, or of its first shard. @param projector Of its `mmproj`, if it has one. */
export function describeGguf(header: GgufHeader, fallbackName: string, projector?: GgufHeader): Description {
  const text = (key: string) => {
    const value = header.metadata.get(key);
    return typeof value === 'string' && value.trim() !== '' ? value : undefined;
  };
  const link = (key: string) => {
    const value = text(key);
    return value && /^https?:\/\//.test(value) ? value : undefined;
  };
  const licenseUrl = link('general.license.link');
  const homepage = link('general.url') ?? link('general.source.url') ?? link('general.repo_url');
  return {
    name: text('general.name') ?? fallbackName,
    authors: text('general.author') ?? text('general.organization') ?? 'unknown',
    license: text('general.license') ?? 'unknown',
    ...(licenseUrl === undefined ? {} : { licenseUrl }),
    ...(homepage === undefined ? {} : { homepage }),
    capabilities: capabilitiesOf(header, projector),
    contextLength: trainedContext(header),
  };
}

function capabilitiesOf({ metadata, architecture }: GgufHeader, projector?: GgufHeader): Capability[] {
  const pooling = metadata.get(`${architecture}.pooling_type`);
  if (pooling === POOLING_RANK) return ['rerank'];
  const senses = sensesOf(projector);
  if ((typeof pooling === 'number' && pooling > 0) || ENCODERS.test(architecture ?? ''))
    return ['embedding', ...senses];
  const capabilities: Capability[] = ['completion'];
  const template = metadata.get('tokenizer.chat_template');
  if (typeof template === 'string') {
    capabilities.unshift('chat');
    if (/\btools\b/.test(template)) capabilities.push('tools');
  }
  return [...capabilities, ...senses];
}

/** What a projector is for. The oldest do not say: they are eyes. */
function sensesOf(projector: GgufHeader | undefined): Capability[] {
  if (projector === undefined) return [];
  const { metadata } = projector;
  const hears = metadata.get('clip.has_audio_encoder') === true;
  const speaks = metadata.get('clip.has_gen_audio_encoder') === true;
  const sees = metadata.get('clip.has_vision_encoder') ?? !(hears || speaks);
  return [
    ...(hears ? ['audio' as const] : []),
    ...(sees === true ? ['vision' as const] : []),
    ...(speaks ? ['speech' as const] : []),
  ];
}

/** `model-00001-of-00003.gguf`, as llama.cpp's `llama-gguf-split` names shards. */
const SHARD = /-(\d{5})-of-(\d{5})(?=\.gguf$)/i;

export interface Shard {
  /** From 1. */
  index: number;
  count: number;
  /** The name without the number. */
  base: string;
}

/** @returns null if the file's name is not that of a shard */
export function shardOf(name: string): Shard | null {
  const found = SHARD.exec(name);
  if (found === null) return null;
  return { index: Number(found[1]), count: Number(found[2]), base: name.replace(SHARD, '') };
}

/** The names, or URLs, of all shards of a model, by that of one of them; just that one if it is not a shard. */
export function allShards(name: string): string[] {
  const shard = shardOf(name);
  if (shard === null || shard.count < 1) return [name];
  const of = String(shard.count).padStart(5, '0');
  return Array.from({ length: shard.count }, (_, i) =>
    name.replace(SHARD, `-${String(i + 1).padStart(5, '0')}-of-${of}`),
  );
}

/** Makes an id of a file's name, with only the characters that `catalog.ts` allows. */
export function idFrom(name: string): string {
  const id = name
    .replace(SHARD, '')
    .replace(/\.gguf$/i, '')
    .replace(/[^A-Za-z0-9._:@+-]+/g, '-')
    .replace(/\.{2,}/g, '.')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 100);
  return id === '' || id === 'local' ? 'model' : id;
}
