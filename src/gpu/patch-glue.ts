/**
 * Build only: writes the runtime of this room into emscripten's WebGPU glue, a text that wllama carries with it.
 */
import { createHash } from 'node:crypto';

/** The versions of wllama whose glue was read and tested. */
const KNOWN_WLLAMA = '3.8.1 to 3.13.0';

/** The names in the glue of an object of `GpuGlue`, and of the script that it comes from. */
const INSTANCE = 'llamatabGpu';
export const RUNTIME = 'llamatabGpuRuntime';

interface Replacement {
  /** SHA-256 of the published function's text. */
  sha256: string;
  /** Its parameters, then its body. `published` in it is the published function. */
  parameters: string;
  body: string;
}

const call = (method: string, ...values: string[]) => `${INSTANCE}.${method}(${values.join(',')})`;
/** Addresses and sizes come from wasm as BigInts. */
const n = (name: string) => `Number(${name})`;
const OBJECTS = 'WebGPU.Internals.jsObjects';

/** By name. What stands behind each is said in `gpu-glue.ts`. */
const REPLACEMENTS: Record<string, Replacement> = {
  _emwgpuBufferDestroy: {
    sha256: 'fbfdd12423f5ae6e8a759ae41c4c60218c28ac5876e466831565c704b858921c',
    parameters: 'buffer',
    body: `${call('bufferDestroyed', n('buffer'))};published(buffer)`,
  },
  _emwgpuBufferMapAsync: {
    sha256: 'ceb6ecaa64bcb010b226ef35ca66271738e2ec1a2a4d4cefd4a8a808fa27ce59',
    parameters: 'buffer,future,mode,offset,size',
    body: `published(buffer,future,mode,offset,size);${call('waitBegun', n('future'))}`,
  },
  _emwgpuDelete: {
    sha256: '9eb7297388a99d5d1a307002e15f250b9b31f123bad99eaee09814d20fc92635',
    parameters: 'object',
    body: `object=Number(object);${call('deleted', 'object')};delete ${OBJECTS}[object]`,
  },
  _emwgpuDeviceCreateBuffer: {
    sha256: 'b4641919306fdebaeda7316a4986a93e7d8c4760490dc6613df092bc649ab621',
    parameters: 'device,descriptor,buffer',
    body: `var made=published(device,descriptor,buffer);if(made)${call('bufferCreated', n('buffer'))};return made`,
  },
  _emwgpuDeviceCreateShaderModule: {
    sha256: 'ae685ced3904cde820e43c48cabbfc5aa3d101edfaab7c7e6f4b7dd725ae1348',
    parameters: 'device,descriptor,module',
    body: `${call('makesShaders', n('device'))};published(device,descriptor,module)`,
  },
  _emwgpuDeviceDestroy: {
    sha256: '8f3ddddb5d23ba01fc5bfba32ef722ebb82bf1f6de2e58f8ce7cf1b662599a68',
    parameters: 'device',
    body: `published(device);${call('deviceDestroyed', n('device'))}`,
  },
  _emwgpuQueueOnSubmittedWorkDone: {
    sha256: 'a1eae1bc4fb97a534dd03f374e7a5a3bbc582d7ef8ca273702ad6e3dc1413bab',
    parameters: 'queue,future',
    body: `if(${call('onSubmittedWorkDone', n('future'))})return;published(queue,future);${call('waitBegun', n('future'))}`,
  },
  _emwgpuWaitAny: {
    sha256: '9e86671c238c2e34d33ae038d7f90dda0edece0d85d964955614f86b51a7c790',
    parameters: 'futures,count,timeout',
    body: `var over=${call('waitAny', n('futures'), n('count'), n('timeout'))};return typeof over=="number"?over:Asyncify.handleAsync(()=>over)`,
  },
  _wgpuCommandEncoderBeginComputePass: {
    sha256: '1e9205debbce3dde8623894163cff4f41857deeee0d8a2418ddc6aae0d83ea62',
    parameters: 'encoder,descriptor',
    body: `var pass=published(encoder,descriptor);${call('passBegun', n('encoder'), n('pass'))};return pass`,
  },
  _wgpuCommandEncoderFinish: {
    sha256: 'c1d8b89ef13c8900b5bd317dcb7269d5f93062ceec14e4f705e4bcaf5b4ab8dc',
    parameters: 'encoder,descriptor',
    body: `var commands=published(encoder,descriptor);${call('finished', n('encoder'), n('commands'))};return commands`,
  },
  _wgpuComputePassEncoderDispatchWorkgroups: {
    sha256: '8cbf7009a72b368b0d909ccc38793294204ea3e53eb7df24ceebebc606020252',
    parameters: 'pass,x,y,z',
    body: call('dispatch', n('pass'), 'x', 'y', 'z'),
  },
  _wgpuComputePassEncoderEnd: {
    sha256: 'bce94f8fe1c30080cba28b354996054c216451ef1948b011f2bdab4a7521243d',
    parameters: 'pass',
    body: `${call('passEnds', n('pass'))};published(pass)`,
  },
  _wgpuComputePassEncoderSetBindGroup: {
    sha256: 'f87717f7b518f4c3f42f215c7150925d39e6488f0c0f60fc35b381c8c662bc09',
    parameters: 'pass,index,group,count,offsets',
    body: `${call('setBindGroup', n('pass'), 'index', n('group'))}||published(pass,index,group,count,offsets)`,
  },
  _wgpuComputePassEncoderSetPipeline: {
    sha256: 'a619c39c212b7cad5b0bdf0394f801fa4ce6f66e1bd4b78ac44452e85ce77586',
    parameters: 'pass,pipeline',
    body: call('setPipeline', n('pass'), n('pipeline')),
  },
  _wgpuComputePipelineGetBindGroupLayout: {
    sha256: '046f7baeda962af1956374af45a6751d4ba2dde69b4833e5f0c1f5f1e7d74b28',
    parameters: 'pipeline,index',
    body: `return BigInt(${call('getBindGroupLayout', n('pipeline'), 'index')})`,
  },
  _wgpuDeviceCreateBindGroup: {
    sha256: 'a8bdb0a66a297d32dbe50cf6e190bca0fdc8a55e6a2327a6634d0ed5326c8068',
    parameters: 'device,descriptor',
    body: `var group=${call('createBindGroup', n('device'), n('descriptor'))};return group?BigInt(group):published(device,descriptor)`,
  },
  _wgpuQueueSubmit: {
    sha256: '63dda899cd8d3de3f227ae7c56896055f8d03656ccb12e0ea1eb3845ad00587d',
    parameters: 'queue,count,commands',
    body: `${call('beforeSubmit')};published(queue,count,commands);${call('submitted', n('commands'), n('count'))}`,
  },
  _wgpuQueueWriteBuffer: {
    sha256: 'f69745010fdbbdd29b6217e3139789795e80959044e0a2a5c2bc9efab237d39f',
    parameters: 'queue,buffer,offset,data,size',
    body: `${call('writeBuffer', n('queue'), n('buffer'), n('offset'), n('data'), n('size'))}||published(queue,buffer,offset,data,size)`,
  },
};

/** Only a call in it is replaced. */
const REQUEST_ADAPTER = {
  name: '_emwgpuInstanceRequestAdapter',
  sha256: 'ad082b9177d798e9b76ca212a3ceefc4e943023a0ae155d79004e1f136a0c127',
  published: 'navigator.gpu.requestAdapter(opts)',
  ours: `${RUNTIME}.requestAdapter(navigator.gpu,opts)`,
};

/** Makes the object, out of what the glue has (`Emscripten` in `gpu-glue.ts`). */
const createInstance = (fuse: boolean) =>
  `var ${INSTANCE}=new ${RUNTIME}.GpuGlue({objects:${OBJECTS},futures:WebGPU.Internals.futures,memory:()=>(growMemViews(),HEAPU32),newBindGroup:()=>_emwgpuCreateBindGroup(0n),newBindGroupLayout:()=>_emwgpuCreateBindGroupLayout(0n),workDone:future=>_emwgpuOnWorkDoneCompleted(future,1)},{fuse:${fuse}});`;

/**
 * @param glue `WLLAMA_EMSCRIPTEN_CODE` of @wllama/wllama
 * @param runtime A script that defines `llamatabGpuRuntime`: `runtime.ts`, bundled
 * @returns the glue with the runtime in it, and its functions called in place of the published ones
 * @throws Error for a function that is not the known one; the message names it, and what to do
 */
export function patchGlue(glue: string, runtime: string, { fuse = true } = {}): string {
  const replaced = [...Object.keys(REPLACEMENTS), REQUEST_ADAPTER.name].map((name) => {
    const { start, end } = locate(glue, name);
    const text = glue.slice(start, end);
    const known = name === REQUEST_ADAPTER.name ? REQUEST_ADAPTER : (REPLACEMENTS[name] as Replacement);
    const hash = createHash('sha256').update(text).digest('hex');
    if (hash !== known.sha256) throw unknown(name, `it is another (SHA-256 ${hash})`);
    return {
      start,
      end,
      text: 'ours' in known ? text.replace(known.published, known.ours) : replacement(name, text, known),
    };
  });
  replaced.sort((a, b) => a.start - b.start);
  let patched = '';
  let at = 0;
  for (const { start, end, text } of replaced) {
    if (at === 0) patched += `${glue.slice(0, start)}${runtime};${createInstance(fuse)}`;
    else patched += glue.slice(at, start);
    patched += text;
    at = end;
  }
  return patched + glue.slice(at);
}

/** A function's text keeps its kind: what is declared with `var` may be given properties, and is followed by `;` or `,`. */
function replacement(name: string, text: string, { parameters, body }: Replacement): string {
  const published = text.startsWith('var ') ? text.slice(`var ${name}=`.length) : text.replace(name, '');
  const make = `(function(){var published=${published};return function(${parameters}){${body}}})()`;
  return `var ${name}=${make}${text.startsWith('var ') ? '' : ';'}`;
}

/** Where a function's text begins, and ends with its closing brace. */
function locate(glue: string, name: string): { start: number; end: number } {
  const starts = [...glue.matchAll(new RegExp(`(?:function ${name}\\(|var ${name}=)`, 'g'))];
  const [first, ...more] = starts;
  if (first === undefined || more.length > 0) throw unknown(name, `it is there ${starts.length} times`);
  let depth = 0;
  for (const { 0: brace, index } of glue.slice(first.index).matchAll(/[{}]/g)) {
    depth += brace === '{' ? 1 : -1;
    if (depth === 0) return { start: first.index, end: first.index + index + 1 };
  }
  throw unknown(name, 'it has no end');
}

function unknown(name: string, what: string): Error {
  return new Error(
    `The WebGPU glue of this wllama is not the one of wllama ${KNOWN_WLLAMA}: of ${name}, ${what}. ` +
      'Install that version; or read what changed, write the new hash into src/gpu/patch-glue.ts and run its tests; ' +
      'or build with LLAMATAB_GPU_GLUE=off.',
  );
}
