import { describe, expect, it } from 'vitest';
import { type AdmissionQueue, createAdmissionQueue } from './admission-queue.ts';

/** Callers by name, and the order in which they are admitted. */
function entering(queue: AdmissionQueue) {
  const order: string[] = [];
  const enter = async (name: string, caller: string) => {
    const release = await queue.acquire({ caller });
    order.push(name);
    return release;
  };
  return { order, enter };
}

describe('admission queue', () => {
  it('admits as many as there are slots, the others in order of arrival', async () => {
    const queue = createAdmissionQueue(2);
    const order: number[] = [];
    const releases = Array.from({ length: 20 }, (_, index) =>
      queue.acquire().then((release) => {
        order.push(index);
        expect(queue.processing).toBeLessThanOrEqual(2);
        return release;
      }),
    );
    expect(queue.processing).toBe(2);
    expect(queue.deferred).toBe(18);
    for (const release of releases) (await release)();
    expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect([queue.processing, queue.deferred]).toEqual([0, 0]);
  });

  it('gives up the place of an aborted request', async () => {
    const queue = createAdmissionQueue(1);
    const release = await queue.acquire();
    const abort = new AbortController();
    const aborted = queue.acquire({ signal: abort.signal });
    const next = queue.acquire();
    abort.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    release();
    (await next)();
    expect([queue.processing, queue.deferred]).toEqual([0, 0]);
  });

  it('refuses a request that is aborted already, and keeps its slot', async () => {
    const queue = createAdmissionQueue(1);
    await expect(queue.acquire({ signal: AbortSignal.abort() })).rejects.toThrow();
    expect(queue.processing).toBe(0);
  });

  it('frees a slot once, however often it is told to', async () => {
    const queue = createAdmissionQueue(1);
    const release = await queue.acquire();
    release();
    release();
    await queue.acquire();
    expect(queue.processing).toBe(1);
    const second = queue.acquire();
    expect(queue.deferred).toBe(1);
    void second;
  });

  it('lets a request be alone: it waits for those before it, and those behind it wait for it', async () => {
    const queue = createAdmissionQueue(4);
    const order: string[] = [];
    const enter = (name: string, alone = false) =>
      queue.acquire({ alone }).then((release) => {
        order.push(name);
        return release;
      });
    const first = await enter('first');
    const alone = enter('alone', true);
    const behind = enter('behind');
    expect([queue.processing, queue.deferred]).toEqual([1, 2]);
    first();
    const releaseAlone = await alone;
    expect([queue.processing, queue.deferred]).toEqual([1, 1]);
    const last = enter('last');
    releaseAlone();
    (await behind)();
    (await last)();
    expect(order).toEqual(['first', 'alone', 'behind', 'last']);
  });

  it('lets those behind it go on when a request that wanted to be alone is aborted', async () => {
    const queue = createAdmissionQueue(2);
    await queue.acquire();
    const abort = new AbortController();
    const alone = queue.acquire({ signal: abort.signal, alone: true });
    const behind = queue.acquire();
    abort.abort(new Error('enough'));
    await expect(alone).rejects.toThrow('enough');
    await behind;
    expect(queue.processing).toBe(2);
  });

  it('lets callers take turns, each in its own order', async () => {
    const queue = createAdmissionQueue(1);
    const { order, enter } = entering(queue);
    const busy = await queue.acquire();
    const asked = ['a1', 'a2', 'a3', 'b1', 'c1', 'b2'].map((name) => enter(name, name.charAt(0)));
    busy();
    // As they come: each admits the next one when it ends.
    await Promise.all(asked.map((admitted) => admitted.then((release) => release())));
    expect(order).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  });

  it('keeps nobody waiting for callers that come later, however many', async () => {
    const queue = createAdmissionQueue(1);
    const { order, enter } = entering(queue);
    let release = await queue.acquire();
    const patient = [enter('first', 'patient'), enter('second', 'patient')];
    for (let visitor = 0; visitor < 3; visitor++) {
      void enter(`visitor ${visitor}`, `${visitor}`).then((done) => done());
    }
    release();
    release = await (patient[0] as Promise<() => void>);
    for (let visitor = 3; visitor < 6; visitor++) {
      void enter(`visitor ${visitor}`, `${visitor}`).then((done) => done());
    }
    release();
    (await patient[1])?.();
    expect(order).toEqual(['first', 'visitor 0', 'visitor 1', 'visitor 2', 'second']);
  });
});
