/** How many of a model's layers a GPU can hold, as far as WebGPU's limits tell; how much memory it has, they don't. */
import type { GgufHeader } from '../gguf/header.ts';
import type { UsableGpu } from './gpu-adapter.ts';

export interface GpuLayers {
  /** For llama.cpp's `n_gpu_layers`: the output, then the last blocks first. */
  layers: number;
  /** What keeps the others from the GPU; null if nothing does. */
  limit: string | null;
}

/** What `gpuLayersFor` reads of a model. */
export interface LayerSizes {
  /** Of each block, the largest tensor. */
  blocks: Tensor[];
  /** The largest tensor that turns the last block's result into logits; null if the model has none. */
  output: Tensor | null;
}

interface Tensor {
  name: string;
  /** Bytes. */
  size: number;
}

/**
 * llama.cpp offloads from the end: the output first, then the last block, then those before it. So the first tensor from the
 * end that the GPU can't take decides.
 * @param cache bytes of one layer's keys, or values, whichever are more, over all slots.
 */
export function gpuLayersFor(
  { blocks, output }: LayerSizes,
  cache: number,
  gpu: Pick<UsableGpu, 'maxBindingSize' | 'maxBufferSize'>,
): GpuLayers {
  const most = Math.min(gpu.maxBindingSize, gpu.maxBufferSize);
  const all = blocks.length + 1;
  if (output !== null && output.size > most) return { layers: 0, limit: tooLarge(output, most) };
  if (cache > most) {
    const limit = `One layer's KV cache is ${mebibytes(cache)}, and the GPU takes ${mebibytes(most)} at once. A shorter contextSize or fewer slots would fit.`;
    return { layers: 0, limit };
  }
  const stop = blocks.findLastIndex(({ size }) => size > most);
  const blocking = blocks[stop];
  if (blocking === undefined) return { layers: all, limit: null };
  return { layers: all - 1 - stop, limit: tooLarge(blocking, most) };
}

function tooLarge({ name, size }: Tensor, most: number): string {
  return `The tensor ${name} is ${mebibytes(size)}, and the GPU takes ${mebibytes(most)} at once. A model in a smaller quantization would fit.`;
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

const BLOCK = /^blk\.(\d+)\./;
/** A model without an output of its own uses its token embeddings once more. */
const OUTPUTS = ['output.weight', 'token_embd.weight'];

export function layerSizes({ architecture, metadata, tensors }: GgufHeader): LayerSizes {
  const count = Number(metadata.get(`${architecture}.block_count`) ?? 0);
  // A shard holds only some of them.
  const blocks = Array.from({ length: count }, (_, i): Tensor => ({ name: `blk.${i}`, size: 0 }));
  for (const { name, size } of tensors) {
    const block = Number(BLOCK.exec(name)?.[1] ?? Number.NaN);
    const known = blocks[block];
    if (known !== undefined && (size ?? 0) > known.size) blocks[block] = { name, size: size ?? 0 };
  }
  const [output] = OUTPUTS.flatMap((wanted) => tensors.filter(({ name }) => name === wanted));
  return { blocks, output: output === undefined ? null : { name: output.name, size: output.size ?? 0 } };
}
