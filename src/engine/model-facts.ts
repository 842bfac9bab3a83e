/** What the device plan needs to know of a model, read from its GGUF header. */
import { type GgufHeader, readGgufHeader } from '../gguf/header.ts';
import { headSize, kvElementsPerToken, trainedContext } from '../gguf/memory.ts';
import type { ModelFacts } from './device-plan.ts';
import type { EngineModel, LoadedModelInfo } from './engine.ts';

export function modelFacts(model: EngineModel, header: GgufHeader): ModelFacts & { pooling: boolean } {
  return {
    kind: model.kind,
    size: model.files.reduce((sum, file) => sum + file.size, 0),
    contextLength: Math.min(trainedContext(header), model.contextLength ?? Number.POSITIVE_INFINITY),
    kvElementsPerToken: model.kind === 'embedding' ? 0 : kvElementsPerToken(header),
    headSize: headSize(header),
    pooling: typeof header.metadata.get(`${header.architecture}.pooling_type`) === 'number',
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
