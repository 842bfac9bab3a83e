import { describe, expect, it } from 'vitest';
import { crashReason } from './wllama-guard.ts';

describe('crashReason', () => {
  it.each([
    ['unreachable', ['load_tensors: done'], 'The engine crashed: unreachable'],
    ['', ['srv: step', 'GGML_ASSERT(n > 0) failed', 'srv: end'], 'The engine crashed: GGML_ASSERT(n > 0) failed'],
    ['', ['srv: step'], 'The engine crashed: it gave no reason'],
    [
      '',
      ['ggml_webgpu: Device lost! Reason: 1, Message: GPU process died', 'Aborted()'],
      'The GPU was lost: ggml_webgpu: Device lost! Reason: 1, Message: GPU process died',
    ],
  ])('of %j with the log %j', (message, log, reason) => {
    expect(crashReason(message, log)).toBe(reason);
  });
});
