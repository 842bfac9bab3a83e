/** What the device plan needs to know of a model, read from its GGUF header. */
import { type GgufHeader, readGgufHeader } from '../gguf/header.ts';
import { headSize, kvElementsOfLargestLayer, kvElementsPerToken, trainedContext } from '../gguf/memory.ts';
import type { ModelFacts } from './device-plan.ts';
import type { EngineModel, LoadedModelInfo } from './engine.ts';
import { layerSizes } from './gpu-layers.ts';
import type { ModelWork } from './speed-model.ts';

export function modelFacts(model: EngineModel, header: GgufHeader): ModelFacts & { pooling: boolean; media: boolean } {
  return {
    kind: model.kind,
    size: model.files.reduce((sum, file) => sum + file.size, 0),
    contextLength: Math.min(trainedContext(header), model.contextLength ?? Number.POSITIVE_INFINITY),
    kvElementsPerToken: model.kind === 'embedding' ? 0 : kvElementsPerToken(header),
    headSize: headSize(header),
    kvElementsPerLayer: model.kind === 'embedding' ? 0 : kvElementsOfLargestLayer(header),
    layers: layerSizes(header),
    work: workOf(header, model.kind === 'embedding'),
    // A projector comes last, and shards name their number.
    media: model.files.length > Number(header.metadata.get('split.count') ?? 1),
    pooling: typeof header.metadata.get(`${header.architecture}.pooling_type`) === 'number',
  };
}

/** Tensors of experts, of which a token is sent to a few. */
const EXPERTS = /_exps\./;
/** Looked up, not multiplied; unless the model uses it as its output, too. */
const LOOKED_UP = 'token_embd.weight';

/** Of a model in several shards by its first one, which the others are like. */
function workOf({ architecture, metadata, tensors }: GgufHeader, embeds: boolean): ModelWork {
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
    layers: Number(metadata.get(`${architecture}.block_count`) ?? 0),
    bytesPerToken: bytesPerToken * shards,
    multiplyAddsPerToken: multiplyAddsPerToken * shards,
    embeds,
  };
}

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
