import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CHAT_MODEL } from '../testing/catalog.ts';
import { createTestServer } from '../testing/test-server.ts';

const SLEEP_SECONDS = 60;

describe('who looks at a model', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const start = async () => {
    const server = createTestServer({ sleepIdleSeconds: SLEEP_SECONDS });
    const get = async (path: string) => (await server.send(path)).json();
    const state = async () => {
      const { data } = (await get('/v1/models')) as { data: { id: string; status: { value: string } }[] };
      return data.find(({ id }) => id === CHAT_MODEL.id)?.status.value;
    };
    return { server, get, state };
  };

  test('does not keep it awake', async () => {
    const { get, state } = await start();
    await get('/props');
    await vi.advanceTimersByTimeAsync(1000 * (SLEEP_SECONDS - 1));
    expect([await get('/props'), await get('/slots'), await state()]).toMatchObject([
      { is_sleeping: false },
      [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 3 }],
      'loaded',
    ]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await state()).toBe('sleeping');
  });

  test('does not wake it, and sees it as it was', async () => {
    const { server, get, state } = await start();
    const [props, slots] = [await get('/props'), await get('/slots')];
    await vi.advanceTimersByTimeAsync(1000 * SLEEP_SECONDS);
    expect(await get('/props')).toEqual({ ...(props as object), is_sleeping: true });
    expect(await get('/slots?fail_on_no_slot=1')).toEqual(slots);
    expect(await get('/props?autoload=false')).toMatchObject({ is_sleeping: true });
    expect([await state(), server.engine.loads.length]).toEqual(['sleeping', 1]);
  });

  test('wakes it where it could not be described before it slept', async () => {
    const { server, get } = await start();
    await get('/props');
    for (const model of server.engine.loaded) model.tokenizer = () => Promise.reject(new Error('the file is gone'));
    await vi.advanceTimersByTimeAsync(1000 * SLEEP_SECONDS);
    expect(await get('/props')).toMatchObject({ is_sleeping: false });
    expect(server.engine.loads.length).toBe(2);
  });
});
