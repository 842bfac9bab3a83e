/**
 * Runs in front of wllama's worker: every shader becomes one that binds what the real one does, and computes nothing. What is
 * left is the price of the calls: the browser's bindings, its wire to the GPU process, and what that checks.
 *
 * SwiftShader, the only adapter on a machine without a GPU, has no `shader-f16`; empty shaders need none.
 */

/** A WGSL module with the same entry point and bindings. */
export function emptied(code: string): string {
  const constants = new Map(
    [...code.matchAll(/const\s+(\w+)[^=;]*=\s*([^;]+);/g)].map(([, name = '', value = '']) => [name, value]),
  );
  /** Sums of numbers and constants. */
  const numberOf = (expression: string): number =>
    expression
      .replace(/[()\s]/g, '')
      .split('+')
      .reduce((sum, term) => {
        const constant = constants.get(term);
        return sum + (constant === undefined ? Number.parseInt(term, 10) : numberOf(constant));
      }, 0);

  const declared = new Map<number, string>();
  for (const [, binding = '', space = ''] of code.matchAll(/@group\(0\)\s*@binding\(([^;]*?)\)\s*var<([^>]+)>/g)) {
    declared.set(numberOf(binding), space);
  }
  const lines = [...declared].map(
    ([binding, space]) =>
      `@group(0) @binding(${binding}) var<${space}> b${binding}: ${space === 'uniform' ? 'vec4<u32>' : 'array<u32>'};`,
  );
  // What is not used is not in the pipeline's layout.
  const uses = [...declared].map(([binding, space]) =>
    space === 'uniform'
      ? `if (b${binding}.x == 4294967295u) { return; }`
      : `if (arrayLength(&b${binding}) == 0u) { return; }`,
  );
  const entry = /@compute[\s\S]*?fn\s+(\w+)/.exec(code)?.[1] ?? 'main';
  return `${lines.join('\n')}\n@compute @workgroup_size(1) fn ${entry}() { ${uses.join(' ')} }`;
}

const withF16 = (features: GPUSupportedFeatures) => new Set([...features, 'shader-f16']);

if (typeof GPUAdapter !== 'undefined') {
  const features = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'features')?.get as () => GPUSupportedFeatures;
  Object.defineProperty(GPUAdapter.prototype, 'features', {
    get(this: GPUAdapter) {
      return withF16(features.call(this));
    },
  });

  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = function (descriptor = {}) {
    const requiredFeatures = [...(descriptor.requiredFeatures ?? [])].filter((feature) => feature !== 'shader-f16');
    return requestDevice.call(this, { ...descriptor, requiredFeatures });
  };

  const { createShaderModule, createComputePipeline } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function ({ code }) {
    return createShaderModule.call(this, { code: emptied(code) });
  };
  GPUDevice.prototype.createComputePipeline = function ({ compute, ...descriptor }) {
    const { module, entryPoint } = compute;
    return createComputePipeline.call(this, {
      ...descriptor,
      compute: { module, ...(entryPoint ? { entryPoint } : {}) },
    });
  };

  const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function () {
    dispatchWorkgroups.call(this, 1);
  };
}
