/** A host that does not run is found, and replaced once, however many notice. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeLocks } from '../../test/support/fake-locks.ts';
import { standForElection } from './election.ts';
import { answerHeartbeats, MAX_SILENCE, MAX_START, PING_INTERVAL, watchHeartbeat } from './heartbeat.ts';
import { aliveLock, holdLock, whenReleased } from './locks.ts';

const BASE = 'https://site.example/';

/** Delivers to the others at once. */
class FakeChannel {
  static open = new Set<FakeChannel>();
  readonly name: string;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(name: string) {
    this.name = name;
    FakeChannel.open.add(this);
  }
  postMessage(data: unknown) {
    for (const other of [...FakeChannel.open]) {
      if (other !== this && other.name === this.name) other.onmessage?.({ data });
    }
  }
  close() {
    FakeChannel.open.delete(this);
  }
}

const hosting = (host: string) => () => ({ host, ready: true });
const silent = (rounds = MAX_SILENCE) => vi.advanceTimersByTimeAsync(rounds * PING_INTERVAL);

let locks: FakeLocks;
beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('BroadcastChannel', FakeChannel);
  FakeChannel.open.clear();
  locks = new FakeLocks();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('the heartbeat', () => {
  const watch = (given: Partial<Parameters<typeof watchHeartbeat>[1]> = {}) => {
    const seen: (string | undefined)[] = [];
    const begin = watchHeartbeat(BASE, {
      isNeeded: () => true,
      connection: () => ({ host: 'host', lose: () => {} }),
      onSilence: (host) => seen.push(host),
      ...given,
    });
    begin();
    return seen;
  };

  it('tells of a host that does not answer, again and again', async () => {
    const seen = watch();
    await silent(MAX_SILENCE - 1);
    expect(seen).toEqual([]);
    await silent(1);
    expect(seen).toEqual([undefined]);
    await silent();
    expect(seen).toEqual([undefined, undefined]);
  });

  it('is content with an answer now and then, of this site’s host', async () => {
    answerHeartbeats('https://site.example/other/', hosting('other'));
    const seen = watch();
    await silent(MAX_SILENCE - 2);
    answerHeartbeats(BASE, hosting('host'));
    await silent(10);
    expect(seen).toEqual([]);
  });

  it('tells of a host that answers and can’t be reached, but not of one that is only beginning', async () => {
    let ready = false;
    answerHeartbeats(BASE, () => ({ host: 'host', ready }));
    const seen = watch({ connection: () => null });
    await silent(MAX_START - 2);
    expect(seen).toEqual([]);
    ready = true;
    await silent(MAX_SILENCE - 1);
    expect(seen).toEqual([]);
    await silent(2);
    expect(seen).toEqual(['host']);
  });

  it('drops the connection to a host in whose place another one answers', async () => {
    const lose = vi.fn();
    const seen = watch({ connection: () => ({ host: 'replaced', lose }) });
    answerHeartbeats(BASE, hosting('host'));
    await silent(1);
    expect(lose).not.toHaveBeenCalled();
    await silent(1);
    expect(lose).toHaveBeenCalledOnce();
    expect(seen).toEqual([]);
  });

  it('tells of a host that is beginning for ever', async () => {
    answerHeartbeats(BASE, () => ({ host: 'host', ready: false }));
    const seen = watch();
    await silent(MAX_START);
    expect(seen).toEqual(['host']);
  });

  it('asks nobody while nobody waits', async () => {
    let pings = 0;
    answerHeartbeats(BASE, () => {
      pings++;
      return { host: 'host', ready: true };
    });
    let needed = true;
    const begin = watchHeartbeat(BASE, { isNeeded: () => needed, connection: () => null, onSilence: () => {} });
    begin();
    begin();
    await silent(3);
    expect(pings).toBe(4);
    needed = false;
    await silent(10);
    expect(pings).toBe(4);
    needed = true;
    begin();
    await silent(0);
    expect(pings).toBe(5);
  });
});

it('that a host is gone is told to all who wait for it, though one of them does not run', async () => {
  const { release } = await holdLock(aliveLock('host'), {}, locks.of('host'));
  const frozen = locks.of('frozen');
  const keeping = {
    request: (name: string, options: LockOptions) => frozen.request(name, options, () => new Promise(() => {})),
  };
  void whenReleased(aliveLock('host'), {}, keeping as Pick<LockManager, 'request'>);
  const told = whenReleased(aliveLock('host'), {}, locks.of('awake'));
  release();
  await told;
});

describe('an election', () => {
  /** A worker as it stands; `win` when it was elected, after which it answers as long as it runs. */
  function candidate(name: string) {
    const own = locks.of(name);
    const election = standForElection(BASE, own);
    const state = { election, hosting: false, replaced: false, lost: false };
    election.won.then(async ({ stolen }) => {
      state.hosting = true;
      const alive = await holdLock(aliveLock(name), {}, own);
      stolen.then(() => {
        state.replaced = true;
      });
      alive.stolen.catch(() => {});
      whenReleased(aliveLock(name), {}, locks as unknown as LockManager).then(() => {
        state.lost = true;
      });
    });
    return state;
  }

  it('is won by the next in the queue', async () => {
    const first = locks.of('first');
    const { release } = await holdLock(`llamatab/4:host:${BASE}`, {}, first);
    const [second, third] = [candidate('second'), candidate('third')];
    await silent(0);
    expect([second.hosting, third.hosting]).toEqual([false, false]);
    release();
    await silent(0);
    expect([second.hosting, third.hosting]).toEqual([true, false]);
  });

  it('gives the place of a host that does not answer to one of those who notice, and no other', async () => {
    const frozen = candidate('frozen');
    await silent(0);
    const [asleep, second, third] = [candidate('asleep'), candidate('second'), candidate('third')];
    second.election.won.then(() => answerHeartbeats(BASE, hosting('second')));
    const noticed = [second, third, second].map(({ election }) => election.takeOver(undefined));
    await silent();
    await Promise.all(noticed);
    expect(second.hosting).toBe(true);
    expect([third.hosting, asleep.hosting]).toEqual([false, false]);
    // It learns of it when it runs again, and its callers at once.
    expect([frozen.replaced, frozen.lost]).toEqual([true, true]);
    expect(second.replaced).toBe(false);
  });

  it.each(['asked whether it may', 'taking its place'])(
    'passes over a tab that is frozen while it is %s',
    async (when) => {
      candidate('silent');
      await silent(0);
      const running = locks.of('frozen');
      const never = () => new Promise<never>(() => {});
      let queries = 0;
      // Its first query still comes back; or it is frozen with the lock of those who take over.
      const query = () => (when === 'taking its place' && queries++ === 0 ? running.query() : never());
      const frozen = standForElection(BASE, { request: running.request, query });
      const awake = candidate('awake');
      awake.election.won.then(() => answerHeartbeats(BASE, hosting('awake')));
      void frozen.takeOver(undefined).catch(() => {});
      const taking = awake.election.takeOver(undefined);
      await silent(4);
      expect([await taking, awake.hosting]).toEqual([true, true]);
    },
  );

  it('leaves a host alone that answers by now, or is another one', async () => {
    const first = candidate('first');
    await silent(0);
    answerHeartbeats(BASE, hosting('first'));
    const second = candidate('second');
    for (const silentHost of [undefined, 'zeroth']) {
      await second.election.takeOver(silentHost);
      expect([first.replaced, second.hosting]).toEqual([false, false]);
    }
    // Its worker answers, and yet it can't be reached.
    await second.election.takeOver('first');
    expect([first.replaced, second.hosting]).toEqual([true, true]);
  });

  it('has no place to give where there is no host', async () => {
    const only = candidate('only');
    await silent(0);
    const taking = only.election.takeOver(undefined);
    await silent(1);
    await taking;
    expect([only.hosting, only.replaced]).toEqual([true, false]);
  });
});
