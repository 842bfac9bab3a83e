import { useEffect, useRef, useState } from 'preact/hooks';
import type { Server, ServerStatus } from '../../index.ts';
import {
  type EngineProps,
  eventsBetween,
  type Health,
  type LiveEvent,
  type LiveModel,
  readMetrics,
  readPlans,
  readSlots,
  type Sample,
  toSample,
} from './live.ts';

/** Milliseconds between two looks, and samples that are kept: two minutes. */
const INTERVAL = 1000;
const KEPT_SAMPLES = 120;
/** Looks between two readings of the plans, which are measured once in a while. */
const PLANS_EVERY = 10;
const KEPT_EVENTS = 100;

export interface Live {
  samples: readonly Sample[];
  models: readonly LiveModel[];
  health: Health;
  /** Why the last look failed, in words. */
  problem: string | undefined;
}

/** Looks at the server once a second, as long as the view is there and can be seen. */
export function useLive(server: Server | undefined): Live {
  const [live, setLive] = useState<Live>({ samples: [], models: [], health: {}, problem: undefined });
  const plans = useRef(new Map<string, EngineProps>());

  useEffect(() => {
    if (server === undefined) return;
    const ended = new AbortController();
    let looks = 0;
    const look = async () => {
      if (document.visibilityState === 'hidden') return;
      try {
        if (looks++ % PLANS_EVERY === 0) plans.current.clear();
        const metrics = readMetrics(await (await get(server, 'metrics', ended.signal)).text());
        const health = (await (await get(server, 'health', ended.signal)).json()) as Health;
        const models = await Promise.all(
          server.status.models
            .filter(({ state }) => state === 'loaded')
            .map((model) => lookAt(server, model, plans.current, ended.signal)),
        );
        const sample = toSample(performance.now(), metrics, models);
        setLive(({ samples }) => ({
          samples: [...samples.slice(1 - KEPT_SAMPLES), sample],
          models,
          health,
          problem: undefined,
        }));
      } catch (error) {
        if (ended.signal.aborted) return;
        setLive((before) => ({ ...before, problem: error instanceof Error ? error.message : String(error) }));
      }
    };
    // Not an interval: a look that takes long must not be followed by several at once.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = async () => {
      await look();
      if (!ended.signal.aborted) timer = setTimeout(again, INTERVAL);
    };
    void again();
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [server]);
  return live;
}

async function lookAt(
  server: Server,
  model: LiveModel['model'],
  plans: Map<string, EngineProps>,
  signal: AbortSignal,
): Promise<LiveModel> {
  const query = `model=${encodeURIComponent(model.id)}&autoload=false`;
  const slots = await get(server, `slots?${query}`, signal);
  // It may have been unloaded since.
  if (!slots.ok) return { model, slots: [], plans: [], gpu: null };
  if (!plans.has(model.id)) {
    const props = await get(server, `props?${query}`, signal);
    plans.set(model.id, props.ok ? (((await props.json()) as { engine?: EngineProps }).engine ?? {}) : {});
  }
  const engine = plans.get(model.id) ?? {};
  return { model, slots: readSlots(await slots.json()), plans: readPlans(engine), gpu: engine.gpu ?? null };
}

function get(server: Server, path: string, signal: AbortSignal): Promise<Response> {
  return server.fetch(`${server.baseURL}/${path}`, { signal });
}

/** What has happened since the page was opened, the latest first. */
export function useEvents(status: ServerStatus | undefined): readonly LiveEvent[] {
  const [events, setEvents] = useState<readonly LiveEvent[]>([]);
  const before = useRef<ServerStatus>(undefined);
  useEffect(() => {
    if (status === undefined) return;
    const start: ServerStatus = {
      ...status,
      state: 'starting',
      role: 'none',
      models: [],
      modelsError: null,
      reload: null,
    };
    const happened = eventsBetween(before.current ?? start, status, Date.now());
    before.current = status;
    if (happened.length > 0) setEvents((events) => [...happened.reverse(), ...events].slice(0, KEPT_EVENTS));
  }, [status]);
  return events;
}
