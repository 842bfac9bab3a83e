import { describe, expect, it } from 'vitest';
import { withGlue } from './build.ts';
import { publishedGlue } from './glue-harness.ts';
import { patchGlue } from './patch-glue.ts';

const glue = publishedGlue();

describe('the glue of the wllama that is installed', () => {
  it('is written once, in front of the first function that is replaced, and is a script', () => {
    const patched = patchGlue(glue, '/* the runtime */var llamatabGpuRuntime={}');
    expect(patched.split('/* the runtime */')).toHaveLength(2);
    const first = patched.indexOf('/* the runtime */');
    expect(patched.slice(0, first)).toBe(glue.slice(0, first));
    expect(patched.slice(first)).toContain('llamatabGpuRuntime.requestAdapter(navigator.gpu,opts)');
    expect(patched).not.toContain('navigator.gpu.requestAdapter');
    new Function(patched);
  });

  it('keeps what it does not replace', () => {
    const patched = patchGlue(glue, '');
    for (const kept of [
      'function _wgpuCommandEncoderCopyBufferToBuffer(',
      'var Asyncify={',
      'function _emwgpuBufferUnmap(',
    ]) {
      const text = glue.slice(glue.indexOf(kept), glue.indexOf(kept) + 200);
      expect(patched).toContain(text);
    }
    expect(patched).toContain('_emwgpuWaitAny.isAsync=true');
  });
});

describe('another glue is refused, by the name of the function that is not known', () => {
  it.each([
    [
      'changed',
      glue.replace('pass.setPipeline(pipeline)', 'pass.setPipeline(pipeline,1)'),
      '_wgpuComputePassEncoderSetPipeline, it is another',
    ],
    ['missing', glue.replaceAll('_wgpuQueueSubmit', '_wgpuQueueSend'), '_wgpuQueueSubmit, it is there 0 times'],
    ['twice', `${glue}function _emwgpuDelete(ptr){}`, '_emwgpuDelete, it is there 2 times'],
    ['cut off', glue.slice(0, glue.indexOf('buffer.destroy()')), '_emwgpuBufferDestroy, it has no end'],
    ['patched already', patchGlue(glue, ''), 'it is another'],
  ])('%s', (_, other, message) => {
    expect(() => patchGlue(other, '')).toThrow(message);
    expect(() => patchGlue(other, '')).toThrow('LLAMATAB_GPU_GLUE=off');
  });

  it('so is a module without a glue', () => {
    expect(() => withGlue('export {};', (text) => text)).toThrow('LLAMATAB_GPU_GLUE=off');
  });
});

it('a module has its glue replaced as a literal, whatever is in it', () => {
  const module = "var A = 1;\nvar WLLAMA_EMSCRIPTEN_CODE = 'it\\'s \"$1\" \\n';\nexport { A };";
  const changed = withGlue(module, (text) => `${text}$& \u2028 \``);
  expect(new Function(`${changed.replace('export { A };', '')};return WLLAMA_EMSCRIPTEN_CODE`)()).toBe(
    'it\'s "$1" \n$& \u2028 `',
  );
});
