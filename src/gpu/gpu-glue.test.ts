/** The glue as published, and with ours in it: the same program must give the GPU the same dispatches. */
import { beforeAll, describe, expect, it } from 'vitest';
import { MAX_GROUPS } from './bind-group-cache.ts';
import { gpuRuntime } from './build.ts';
import { type Dispatch, FakeGpu } from './fake-gpu.ts';
import { FakeGgml, publishedGlue, slotOf } from './glue-harness.ts';
import { patchGlue } from './patch-glue.ts';
import { COPY_DST } from './webgpu.ts';

const STORAGE = 0x80;
const MAP_READ = 0x01;

let published = '';
let patched = '';
beforeAll(async () => {
  published = publishedGlue();
  patched = patchGlue(published, await gpuRuntime());
});

function start(glue: string, keepDispatches = true) {
  const gpu = new FakeGpu({ keepDispatches });
  return { gpu, ggml: new FakeGgml(glue, gpu.device) };
}

/** A dispatch's parameters: their number comes first, so that a test knows what of a slot a shader would read. */
const parameters = (...values: number[]) => [values.length + 1, ...values];

const read = (dispatches: Dispatch[]) =>
  dispatches.map(({ bindings, ...others }) => ({
    ...others,
    bindings: Object.fromEntries(
      Object.entries(bindings).map(([binding, value]) => [
        binding,
        Array.isArray(value) ? value.slice(0, value[0]) : value,
      ]),
    ),
  }));

/** Runs a program with both, and compares what the GPU was given. @returns ours */
function compare(program: (ggml: FakeGgml) => void) {
  const [theirs, ours] = [start(published), start(patched)];
  program(theirs.ggml);
  program(ours.ggml);
  expect(theirs.gpu.dispatches.length).toBeGreaterThan(0);
  expect(read(ours.gpu.dispatches)).toEqual(read(theirs.gpu.dispatches));
  return ours;
}

/** ggml's dispatch: the group is made, then its parameters are written, then it is set. */
function dispatch(
  ggml: FakeGgml,
  pass: number,
  pipeline: number,
  buffers: number[],
  slot: number,
  arena: number,
  ...values: number[]
) {
  const group = ggml.bindGroup(pipeline, [...buffers.map((buffer) => ({ buffer, size: 64 })), slotOf(arena, slot)]);
  ggml.write(arena, slot * 256, parameters(...values));
  ggml.dispatch(pass, pipeline, group, 1);
  ggml.delete(group);
}

/** Records into commands of their own, and submits them. */
function commands(ggml: FakeGgml, record: (pass: number) => void) {
  const encoder = ggml.encoder();
  const pass = ggml.beginPass(encoder);
  record(pass);
  ggml.endPass(pass);
  ggml.submit(ggml.finish(encoder));
}

const storage = (ggml: FakeGgml, label: string) => ggml.createBuffer(label, 4096, STORAGE | COPY_DST);

/** A graph of a decoded token, or of a prompt: dispatches in batches of 64, whose parameters tell its length. */
function graph(
  ggml: FakeGgml,
  arena: number,
  pipelines: number[],
  buffers: number[],
  length: number,
  dispatches = 100,
) {
  for (let first = 0; first < dispatches; first += 64) {
    commands(ggml, (pass) => {
      for (let i = first; i < Math.min(dispatches, first + 64); i++) {
        const bound = [0, 1, 2].map((k) => buffers[(i + k) % buffers.length] as number);
        dispatch(ggml, pass, pipelines[i % pipelines.length] as number, bound, i - first, arena, i % 7, length);
      }
    });
  }
}

describe('bind groups and parameters', () => {
  it('are made once for what is the same again', () => {
    const { gpu, ggml } = compare((ggml) => {
      const arena = ggml.createArena(74);
      const pipelines = [1, 2, 3].map(() => ggml.createPipeline());
      const buffers = ['a', 'b', 'c', 'd'].map((label) => storage(ggml, label));
      for (let token = 0; token < 5; token++) graph(ggml, arena, pipelines, buffers, 1);
    });
    const { calls } = gpu;
    expect(calls.dispatchWorkgroups).toBe(500);
    expect(calls.createBindGroup).toBeLessThanOrEqual(100);
    expect(calls.writeBuffer).toBe(1);
    expect(calls.getBindGroupLayout).toBe(3);
    const made = calls.createBindGroup;
    expect(ggml.ours?.sizes).toMatchObject({
      bindGroups: made,
      buffers: 4,
      parameterPages: 1,
      recordings: 0,
      spareGroups: 1,
    });
  });

  it('are others where parameters, ranges, buffers or layouts are', () => {
    compare((ggml) => {
      const arena = ggml.createArena(74);
      const [first, second] = [ggml.createPipeline(), ggml.createPipeline()];
      const [a, b] = [storage(ggml, 'a'), storage(ggml, 'b')];
      commands(ggml, (pass) => {
        dispatch(ggml, pass, first, [a, b], 0, arena, 1);
        dispatch(ggml, pass, first, [a, b], 1, arena, 1);
        dispatch(ggml, pass, first, [a, b], 2, arena, 2);
        dispatch(ggml, pass, first, [b, a], 3, arena, 1);
        dispatch(ggml, pass, second, [a, b], 4, arena, 1);
        for (const [slot, range] of [{ offset: 256, size: 64 }, { size: 128 }, {}].entries()) {
          const group = ggml.bindGroup(first, [{ buffer: a, ...range }, slotOf(arena, 5 + slot)]);
          ggml.write(arena, (5 + slot) * 256, parameters(1));
          ggml.dispatch(pass, first, group, 2);
          ggml.delete(group);
        }
      });
    });
  });

  it('hold what a slot had last, of several writes before it is set', () => {
    compare((ggml) => {
      const arena = ggml.createArena(74);
      const pipeline = ggml.createPipeline();
      const a = storage(ggml, 'a');
      commands(ggml, (pass) => {
        const group = ggml.bindGroup(pipeline, [{ buffer: a }, slotOf(arena, 0)]);
        ggml.write(arena, 0, parameters(1, 2, 3, 4));
        ggml.write(arena, 0, parameters(5));
        ggml.dispatch(pass, pipeline, group, 1);
        ggml.dispatch(pass, pipeline, group, 2);
        ggml.delete(group);
      });
      // What a longer write left there is not read.
      commands(ggml, (pass) => dispatch(ggml, pass, pipeline, [a], 0, arena, 5, 6));
    });
  });

  it('that are made together, before any is set, keep their own', () => {
    compare((ggml) => {
      const arena = ggml.createArena(74);
      const pipeline = ggml.createPipeline();
      const buffers = ['a', 'b', 'c'].map((label) => storage(ggml, label));
      commands(ggml, (pass) => {
        const groups = buffers.map((buffer, slot) => ggml.bindGroup(pipeline, [{ buffer }, slotOf(arena, slot)]));
        for (const slot of groups.keys()) ggml.write(arena, slot * 256, parameters(slot));
        for (const group of groups) ggml.dispatch(pass, pipeline, group, 1);
        for (const group of groups) ggml.delete(group);
      });
    });
  });

  it('with the alignment of a device whose slots lie closer', () => {
    compare((ggml) => {
      const arena = ggml.createBuffer('ggml_webgpu_param_arena', 74 * 128, 0x48);
      const pipeline = ggml.createPipeline();
      const a = storage(ggml, 'a');
      commands(ggml, (pass) => {
        for (let slot = 0; slot < 74; slot++) {
          const group = ggml.bindGroup(pipeline, [{ buffer: a }, slotOf(arena, slot, 128)]);
          ggml.write(arena, slot * 128, parameters(...Array.from({ length: 31 }, (_, i) => i * slot)));
          ggml.dispatch(pass, pipeline, group, 1);
          ggml.delete(group);
        }
      });
    });
  });

  it('refuse parameters that change between recording and submitting: they would be other than the GPU’s', () => {
    const { ggml } = start(patched);
    const arena = ggml.createArena(74);
    const pipeline = ggml.createPipeline();
    const a = storage(ggml, 'a');
    const encoder = ggml.encoder();
    const pass = ggml.beginPass(encoder);
    dispatch(ggml, pass, pipeline, [a], 0, arena, 1);
    ggml.write(arena, 0, parameters(1));
    expect(() => ggml.write(arena, 0, parameters(2))).toThrow(/LLAMATAB_GPU_GLUE=off/);
    // A recording that is given up is no hindrance.
    ggml.delete(pass);
    ggml.delete(encoder);
    ggml.write(arena, 0, parameters(3));
    expect(ggml.ours?.sizes.recordings).toBe(0);
  });

  it('keep the slots that recorded commands read, however many groups are made before they are submitted', () => {
    compare((ggml) => {
      const arena = ggml.createArena(MAX_GROUPS + 2);
      const pipeline = ggml.createPipeline();
      const a = storage(ggml, 'a');
      for (const round of [1, 2, 3]) {
        commands(ggml, (pass) => {
          for (let slot = 0; slot < MAX_GROUPS + 2; slot++)
            dispatch(ggml, pass, pipeline, [a], slot, arena, slot, round);
        });
      }
    });
  }, 60_000);
});

describe('what it does not recognise', () => {
  it('goes as published: groups without parameters, with two slots, or with a part of one', () => {
    const { ggml, gpu } = compare((ggml) => {
      const [arena, other] = [ggml.createArena(74), ggml.createArena(74)];
      const pipeline = ggml.createPipeline();
      const a = storage(ggml, 'a');
      const plain = ggml.createBuffer('memset_params_buf', 128, 0x48);
      const dispatchWith = (pass: number, bindings: Parameters<FakeGgml['bindGroup']>[1]) => {
        const group = ggml.bindGroup(pipeline, bindings);
        ggml.dispatch(pass, pipeline, group, 1);
        ggml.delete(group);
      };
      commands(ggml, (pass) => dispatch(ggml, pass, pipeline, [a], 1, arena, 9));
      ggml.write(plain, 0, parameters(1));
      commands(ggml, (pass) => dispatchWith(pass, [{ buffer: a }]));
      commands(ggml, (pass) => dispatchWith(pass, [{ buffer: a }, { buffer: plain, size: 128 }]));
      ggml.write(arena, 0, parameters(1));
      ggml.write(other, 0, parameters(2));
      commands(ggml, (pass) => dispatchWith(pass, [{ buffer: a }, slotOf(arena, 0), slotOf(other, 0)]));
      // From here on the arena is a buffer as any other, with what was written before.
      commands(ggml, (pass) => dispatchWith(pass, [{ buffer: a }, slotOf(arena, 1)]));
      commands(ggml, (pass) => dispatch(ggml, pass, pipeline, [a], 1, arena, 3));
    });
    expect(ggml.ours?.sizes.bindGroups).toBe(1);
    expect(gpu.calls.createBindGroup).toBe(6);
  });

  it('goes as published: parameters that are not one slot’s, also for groups that are made already', () => {
    compare((ggml) => {
      const arena = ggml.createArena(74);
      const pipeline = ggml.createPipeline();
      const a = storage(ggml, 'a');
      commands(ggml, (pass) => {
        dispatch(ggml, pass, pipeline, [a], 0, arena, 1);
        const group = ggml.bindGroup(pipeline, [{ buffer: a }, slotOf(arena, 1)]);
        ggml.write(arena, 256, parameters(2, 3));
        ggml.write(arena, 256 + 4, [7]);
        ggml.dispatch(pass, pipeline, group, 1);
        ggml.delete(group);
        dispatch(ggml, pass, pipeline, [a], 2, arena, 4);
      });
      commands(ggml, (pass) => dispatch(ggml, pass, pipeline, [a], 0, arena, 5));
    });
  });

  it('goes as published: an arena that other commands may write to', () => {
    const { ggml } = start(patched);
    ggml.createBuffer('ggml_webgpu_param_arena', 1024, 0x48 | STORAGE);
    expect(ggml.ours?.sizes.arenas).toBe(0);
  });
});

describe('programs by chance', () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))('give the GPU the same dispatches: seed %i', (seed) => {
    const { gpu } = compare((ggml) => {
      let state = seed + 1;
      const random = (below: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
      };
      const arenas = [ggml.createArena(74), ggml.createArena(10)];
      const pipelines = [1, 2, 3].map(() => ggml.createPipeline());
      const buffers = ['a', 'b', 'c'].map((label) => storage(ggml, label));
      for (let round = 0; round < 30; round++) {
        commands(ggml, (pass) => {
          for (let slot = 0; slot < 1 + random(9); slot++) {
            const bound = Array.from({ length: 1 + random(3) }, () => buffers[random(buffers.length)] as number);
            const pipeline = pipelines[random(pipelines.length)] as number;
            // Rarely, a program that is not ggml's.
            if (random(400) === 0) ggml.write(arenas[0] as number, slot * 256 + 128, [random(5)]);
            dispatch(
              ggml,
              pass,
              pipeline,
              bound,
              slot,
              arenas[random(2)] as number,
              ...Array.from({ length: random(4) }, () => random(3)),
            );
          }
        });
        if (random(4) === 0) {
          const [gone] = buffers.splice(random(buffers.length), 1);
          if (random(2) === 0) ggml.destroyBuffer(gone as number);
          ggml.delete(gone as number);
          buffers.push(storage(ggml, `${round}`));
        }
        if (random(10) === 0) {
          ggml.delete(pipelines.pop() as number);
          pipelines.push(ggml.createPipeline());
        }
      }
    });
    expect(gpu.calls.createBindGroup).toBeLessThanOrEqual(gpu.calls.dispatchWorkgroups as number);
  });
});

describe('what is kept', () => {
  it('goes with its buffers, and an address that is another’s finds nothing of the first', () => {
    const { ggml } = compare((ggml) => {
      const arena = ggml.createArena(74);
      const pipeline = ggml.createPipeline();
      const kept = storage(ggml, 'kept');
      for (const label of ['a', 'b', 'c']) {
        // The freed address is given to the next.
        const buffer = storage(ggml, label);
        commands(ggml, (pass) => {
          dispatch(ggml, pass, pipeline, [buffer, kept], 0, arena, 1);
          dispatch(ggml, pass, pipeline, [kept], 1, arena, 1);
        });
        ggml.destroyBuffer(buffer);
        ggml.delete(buffer);
      }
      // Without being destroyed.
      const released = storage(ggml, 'd');
      commands(ggml, (pass) => dispatch(ggml, pass, pipeline, [released], 0, arena, 1));
      ggml.delete(released);
    });
    expect(ggml.ours?.sizes).toMatchObject({ bindGroups: 1, buffers: 1 });
  });

  it('goes with its pipeline’s address: a new pipeline has its own layout', () => {
    compare((ggml) => {
      const arena = ggml.createArena(74);
      const a = storage(ggml, 'a');
      for (let i = 0; i < 3; i++) {
        const pipeline = ggml.createPipeline();
        commands(ggml, (pass) => dispatch(ggml, pass, pipeline, [a], 0, arena, 1));
        ggml.delete(pipeline);
      }
    });
  });

  it('has bounds, whatever 1,000 requests of mixed lengths ask', () => {
    const { ggml, gpu } = start(patched, false);
    const DISPATCHES = 30;
    const arena = ggml.createArena(74);
    const pipelines = Array.from({ length: 12 }, () => ggml.createPipeline());
    const buffers = Array.from({ length: 40 }, (_, i) => storage(ggml, `${i}`));
    let most = 0;
    for (let request = 0; request < 1000; request++) {
      graph(ggml, arena, pipelines, buffers, 2 + ((request * 7919) % 1800), DISPATCHES);
      for (let token = 0; token < 2; token++) graph(ggml, arena, pipelines, buffers, 1, DISPATCHES);
      most = Math.max(most, ggml.ours?.sizes.bindGroups ?? 0);
    }
    expect(most).toBeLessThanOrEqual(MAX_GROUPS);
    const sizes = ggml.ours?.sizes;
    expect(sizes?.parameterPages).toBeLessThanOrEqual(MAX_GROUPS / 256 + 1);
    expect(sizes).toMatchObject({ arenas: 1, pipelines: 12, recordings: 0, spareGroups: 1, buffers: 32 });
    // Those of the tokens, which all requests have in common, are made once.
    expect(gpu.calls.createBindGroup).toBeLessThanOrEqual(1001 * DISPATCHES);
    expect(gpu.calls.dispatchWorkgroups).toBe(1000 * 3 * DISPATCHES);
  }, 60_000);

  it('is given up with a device that is lost', async () => {
    const { gpu, ggml } = start(patched);
    let lose = () => {};
    gpu.device.lost = new Promise<void>((resolve) => {
      lose = resolve;
    });
    const arena = ggml.createArena(74);
    const pipeline = ggml.createPipeline();
    const a = storage(ggml, 'a');
    commands(ggml, (pass) => dispatch(ggml, pass, pipeline, [a], 0, arena, 1));
    expect(ggml.ours?.sizes.bindGroups).toBe(1);
    lose();
    await gpu.device.lost;
    expect(ggml.ours?.sizes.bindGroups).toBe(0);
  });
});

describe('waits', () => {
  const setUp = (glue: string) => {
    const { gpu, ggml } = start(glue);
    const arena = ggml.createArena(74);
    const pipeline = ggml.createPipeline();
    const a = storage(ggml, 'a');
    const readback = ggml.createBuffer('get_tensor_staging_buf', 64, COPY_DST | MAP_READ);
    const submit = () => commands(ggml, (pass) => dispatch(ggml, pass, pipeline, [a], 0, arena, 1));
    const wait = () => ggml.waitAny(ggml.workDone(), 30_000);
    const map = () => ggml.waitAny(ggml.map(readback, 64), 30_000);
    return { gpu, ggml, submit, wait, map };
  };

  it('are left out where what was computed is read back, without suspending wasm; mapping is waited for', async () => {
    const { gpu, ggml, submit, wait, map } = setUp(patched);
    for (let token = 0; token < 10; token++) {
      for (let i = 0; i < 5; i++) expect(wait()).toBeTypeOf('number');
      submit();
      expect(wait()).toBeTypeOf('number');
      await map();
    }
    expect(gpu.calls).toMatchObject({ mapAsync: 10 });
    expect(gpu.calls.onSubmittedWorkDone).toBeUndefined();
    expect(ggml.done.size).toBe(60);
  });

  it('are real at every second graph that is not read back: the program is never far ahead of the GPU', async () => {
    const { gpu, submit, wait, map } = setUp(patched);
    for (let graph = 0; graph < 8; graph++) {
      submit();
      await wait();
    }
    expect(gpu.calls.onSubmittedWorkDone).toBe(4);
    await map();
  });

  it('are real while much is written', async () => {
    const { gpu, ggml, wait } = setUp(patched);
    const weights = ggml.createBuffer('tensor_buf0', 64 << 20, STORAGE | COPY_DST);
    const chunk = Array.from({ length: 65_536 }, () => 1);
    for (let i = 0; i < 256; i++) {
      ggml.write(weights, 0, chunk);
      await wait();
    }
    expect(gpu.calls.onSubmittedWorkDone).toBe(3);
  });

  it('end after their time, which is twice that where two graphs are waited for, and leave no timer behind', async () => {
    const { gpu, ggml, submit, wait, map } = setUp(patched);
    const finish = gpu.device.queue.onSubmittedWorkDone;
    gpu.device.queue.onSubmittedWorkDone = () => new Promise(() => {});
    submit();
    await wait();
    submit();
    const tooLong = wait();
    const [timer] = ggml.timers.values();
    expect(timer?.milliseconds).toBe(60_000);
    timer?.end();
    expect(await tooLong).toBe(0);
    gpu.device.queue.onSubmittedWorkDone = finish;

    const mapped = map();
    expect([...ggml.timers.values()].map(({ milliseconds }) => milliseconds)).toEqual([60_000]);
    await mapped;
    submit();
    const next = map();
    expect([...ggml.timers.values()].map(({ milliseconds }) => milliseconds)).toEqual([30_000]);
    await next;
    expect(ggml.timers.size).toBe(0);
  });

  it('are as they were in the published glue', async () => {
    const { gpu, ggml, submit, wait } = setUp(published);
    submit();
    await wait();
    await wait();
    expect(gpu.calls.onSubmittedWorkDone).toBe(2);
    expect(ggml.timers.size).toBe(2);
  });
});
