import { describe, expect, test } from 'vitest';
import type { LlamatabError } from '../errors.ts';
import { crashReason, WllamaGuard } from './wllama-guard.ts';

describe('crashReason', () => {
  test.each([
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

/** A guard before a worker that has been asked for one thing, and what becomes of that. */
function guarded() {
  const guard = new WllamaGuard();
  const wllama: { proxy: unknown; exit(): Promise<void> } = { proxy: null, exit: async () => {} };
  guard.attach(wllama as unknown as Parameters<WllamaGuard['attach']>[0]);
  const worker = new EventTarget();
  let settled: unknown;
  const reject = (error: unknown) => {
    settled = error;
  };
  const resultQueue = [{ param: { verb: 'wllama.action' }, reject }];
  const proxy: { worker?: EventTarget; nbThread: number; resultQueue: typeof resultQueue } = {
    nbThread: 0,
    resultQueue,
  };
  Object.assign(wllama, { proxy });
  proxy.worker = worker;
  return {
    guard,
    hear: (data: unknown) => worker.dispatchEvent(Object.assign(new Event('message', { cancelable: true }), { data })),
    get reason() {
      return (settled as LlamatabError | undefined)?.message;
    },
    resultQueue,
  };
}

test('files are given to the engine beside the models', async () => {
  const guard = new WllamaGuard();
  const wllama: { proxy: unknown } = { proxy: null };
  const files = [{ name: 'draft.gguf', blob: new Blob(['draft']) }];
  guard.attach(wllama as unknown as Parameters<WllamaGuard['attach']>[0], { files });
  let given: unknown;
  const proxy = {
    nbThread: 0,
    async moduleInit(all: unknown) {
      given = all;
    },
  };
  wllama.proxy = proxy;
  const model = { name: 'model.gguf', blob: new Blob(['model']) };
  await proxy.moduleInit([model]);
  expect(given).toEqual([model, ...files]);
});

const ABORT = { verb: 'signal.abort', args: ['exception', 'Invalid typed array length: 1163217991', '', null] };

test('a refusal has all lines of its reason, and none of what was logged before', () => {
  const call = guarded();
  const { logger } = call.guard;
  logger.error('an earlier error');
  logger.log('of two lines');
  logger.debug('slot is processing');
  logger.log('a plain line');
  logger.error('Automatic parser generation failed: ');
  logger.log('------------');
  logger.log('Error: Jinja Exception: turns must alternate');
  call.hear(ABORT);
  expect(call.reason).toBe(
    'Automatic parser generation failed: \n------------\nError: Jinja Exception: turns must alternate',
  );
  expect(call.resultQueue).toEqual([]);
});

test('a line that does not follow an error is no part of it', () => {
  const call = guarded();
  call.guard.logger.error('no such grammar');
  call.guard.logger.warn('low on memory');
  call.guard.logger.log('a plain line');
  call.hear(ABORT);
  expect(call.reason).toBe('no such grammar');
});

test('a refusal in a heap that holds as much as its magic number says', () => {
  const call = guarded();
  call.guard.logger.error('no such grammar');
  const result = Object.defineProperty(new Uint8Array(), 'length', { value: 1163217991 });
  call.hear({ callbackId: 7, result });
  expect(call.reason).toBe('no such grammar');
});

test('an answer is wllama’s own to read', () => {
  const call = guarded();
  call.hear({ callbackId: 7, result: new Uint8Array(8) });
  expect(call.reason).toBeUndefined();
  expect(call.resultQueue).toHaveLength(1);
});
