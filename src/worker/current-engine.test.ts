import { expect, it, vi } from 'vitest';
import type { Engine, EngineModel, LoadedModel } from '../engine/engine.ts';
import { createCurrentEngine } from './current-engine.ts';

const model: EngineModel = { id: 'm', files: [], kind: 'completion', pooling: undefined, contextLength: 64 };
const failing: Engine = { load: () => Promise.reject(new Error('No wasm.')), memory: async () => 5 };

it('loads as the engine does', async () => {
  const loaded = {} as LoadedModel;
  const isCurrent = vi.fn(async () => true);
  const engine = createCurrentEngine({ ...failing, load: async () => loaded }, isCurrent);
  expect([await engine.load(model), await engine.memory(model)]).toEqual([loaded, 5]);
  expect(isCurrent).not.toHaveBeenCalled();
});

it('fails as the engine does while the deploy is current', async () => {
  await expect(createCurrentEngine(failing, async () => true).load(model)).rejects.toThrow(/^No wasm\.$/);
});

it('says to reload where the site was deployed anew', async () => {
  await expect(createCurrentEngine(failing, async () => false).load(model)).rejects.toMatchObject({
    type: 'unavailable_error',
    message: expect.stringMatching(/^No wasm\. The site was deployed anew.*reload the page\.$/),
    details: { reload: true },
  });
});

it('asks nothing of an aborted load', async () => {
  const isCurrent = vi.fn(async () => false);
  const aborted = AbortSignal.abort();
  await expect(createCurrentEngine(failing, isCurrent).load(model, aborted)).rejects.toThrow('No wasm.');
  expect(isCurrent).not.toHaveBeenCalled();
});
