/** Runs in front of a worker's code: `navigator.gpu` becomes a GPU that computes nothing, and tells what was called. */
import { FakeGpu } from '../../src/gpu/fake-gpu.ts';

const gpu = new FakeGpu();
Object.defineProperty(Object.getPrototypeOf(navigator), 'gpu', { get: () => gpu, configurable: true });

/** Asked by a page with null, it answers with what was called so far; workers that had no call say nothing. */
const channel = new BroadcastChannel('gpu-calls');
channel.onmessage = ({ data }) => {
  if (data === null && gpu.calls.submit)
    channel.postMessage({ calls: gpu.calls, asked: gpu.asked, pipelines: gpu.pipelines });
};
