/** What the device plan needs to know of a model, read from its GGUF header. */
import { type GgufHeader, readGgufHeader } from '../gguf/gguf.ts';
import type { ModelFacts } from './device-plan.ts';
import type { EngineModel, LoadedModelInfo } from './engine.ts';
import { layerSizes } from './gpu-layers.ts';
import type { ModelWork } from './speed-model.ts';

export function modelFacts(model: EngineModel, header: GgufHeader): ModelFacts & { pooling: boolean } {
  const number = (key: string): number | undefined => {
    const value = header.metadata.get(`${header.architecture}.${key}`);
    return typeof value === 'number' ? value : undefined;
  };
  const layers = number('block_count') ?? 0;
  const heads = number('attention.head_count') ?? 1;
  // Some architectures have a number for each layer; then no layer has more than `heads`.
  const kvHeads = number('attention.head_count_kv') ?? heads;
  const headSize = number('attention.key_length') ?? (number('embedding_length') ?? 0) / heads;
  const valueSize = number('attention.value_length') ?? headSize;
  return {
    kind: model.kind,
    size: model.files.reduce((sum, file) => sum + file.size, 0),
    contextLength: Math.min(
      number('context_length') ?? DEFAULT_CONTEXT,
      model.contextLength ?? Number.POSITIVE_INFINITY,
    ),
    // An encoder keeps nothing from one token to the next.
    kvElementsPerToken: model.kind === 'embedding' ? 0 : layers * kvHeads * (headSize + valueSize),
    headSize,
    kvElementsPerLayer: model.kind === 'embedding' ? 0 : kvHeads * Math.max(headSize, valueSize),
    layers: layerSizes(header),
    work: workOf(header, layers, model.kind === 'embedding'),
    pooling: number('pooling_type') !== undefined,
  };
}

/** Tensors of experts, of which a token is sent to a few. */
const EXPERTS = /_exps\./;
/** Looked up, not multiplied; unless the model uses it as its output, too. */
const LOOKED_UP = 'token_embd.weight';

/** Of a model in several shards by its first one, which the others are like. */
function workOf({ architecture, metadata, tensors }: GgufHeader, layers: number, embeds: boolean): ModelWork {
  const used = Number(metadata.get(`${architecture}.expert_used_count`) ?? 1);
  const experts = Number(metadata.get(`${architecture}.expert_count`) ?? 1);
  const hasOutput = tensors.some(({ name }) => name === 'output.weight');
  let bytesPerToken = 0;
  let multiplyAddsPerToken = 0;
  for (const { name, size, dims } of tensors) {
    if (name === LOOKED_UP && (hasOutput || embeds)) continue;
    const share = EXPERTS.test(name) ? used / experts : 1;
    bytesPerToken += (size ?? 0) * share;
    multiplyAddsPerToken += dims.reduce((product, dim) => product * dim, 1) * share;
  }
  const shards = Number(metadata.get('split.count') ?? 1);
  return {
    layers,
    bytesPerToken: bytesPerToken * shards,
    multiplyAddsPerToken: multiplyAddsPerToken * shards,
    embeds,
  };
}

/** Tokens, for a header that does not say: what the oldest models had. */
const DEFAULT_CONTEXT = 2048;

/** The architecture of projectors. */
const PROJECTOR = 'clip';

/** Of all shards, by their headers. */
export async function countWeights(files: readonly Blob[]): Promise<Pick<LoadedModelInfo, 'nParams' | 'tensorBytes'>> {
  const headers = await Promise.all(files.map((file) => readGgufHeader(file)));
  const tensors = headers.flatMap(({ architecture, tensors }) => (architecture === PROJECTOR ? [] : tensors));
  return {
    nParams: tensors.reduce((sum, { dims }) => sum + dims.reduce((product, dim) => product * dim, 1), 0),
    tensorBytes: tensors.reduce((sum, { size }) => sum + (size ?? 0), 0),
  };
}
