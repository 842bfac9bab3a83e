import type { JSX } from 'preact';
import type { Server, ServerStatus } from '../../index.ts';
import { Failure } from '../parts/failure.tsx';
import { formatBytes, formatRate, formatTokens } from '../parts/format.ts';
import { describeCompute, describeEngine, shortName } from '../status.ts';
import { Chart } from './chart.tsx';
import { type LiveEvent, type LiveModel, type PlanRate, ratesOf, type Slot, withRestarts } from './live.ts';
import { useLive } from './use-live.ts';
import './live-view.css';
import '../view.css';

interface Props {
  server: Server | undefined;
  status: ServerStatus | undefined;
  events: readonly LiveEvent[];
}

const SAMPLES = 120;
const SPAN = 'the last 2 minutes';

/** What the engine is doing: over time, in its slots, on which processor, and what has happened. */
export function LiveView({ server, status, events }: Props): JSX.Element {
  const { samples, models, health, problem } = useLive(server);
  const happened = withRestarts(events, health);
  const last = samples.at(-1);
  const generated = ratesOf(samples, 'generated');
  const prompted = ratesOf(samples, 'prompted');
  const role =
    status?.role === 'guest'
      ? 'Another tab of this site runs the engine.'
      : 'This tab runs the engine, for all tabs of the site.';
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="view-scroller" aria-labelledby="live-title" tabIndex={0}>
      <div class="view-page">
        <header class="view-head">
          <h2 id="live-title">Live</h2>
          <p>{server ? `${role} Looked at once a second, while this view is open.` : 'llamatab is starting…'}</p>
        </header>
        {problem && <Failure title="The server could not be looked at." detail={problem} />}

        <dl class="tiles">
          <Tile term="Tokens a second" value={formatRate(generated.at(-1) ?? 0).replace(/\s.*/, '')} />
          <Tile term="Computing" value={String(last?.processing ?? 0)} testId="processing" />
          <Tile term="Waiting" value={String(last?.deferred ?? 0)} />
          <Tile term="Memory" value={formatBytes(last?.memory ?? 0)} />
          <Tile term="Generated so far" value={formatTokens(last?.generated ?? 0)} testId="generated" />
        </dl>

        <div class="charts">
          <Chart
            title="Speed"
            series={[
              { label: 'Generated', values: generated },
              { label: 'Prompts', values: prompted },
            ]}
            length={SAMPLES}
            format={formatRate}
            span={SPAN}
          />
          <Chart
            title="Requests"
            series={[
              { label: 'Computing', values: samples.map(({ processing }) => processing) },
              { label: 'Waiting', values: samples.map(({ deferred }) => deferred) },
            ]}
            length={SAMPLES}
            format={(value) => String(Math.round(value * 10) / 10)}
            span={SPAN}
          />
          <Chart
            title="Memory of loaded models"
            series={[{ label: 'Memory', values: samples.map(({ memory }) => memory) }]}
            length={SAMPLES}
            format={formatBytes}
            span={SPAN}
          />
        </div>

        <h3>What runs where</h3>
        {models.length === 0 && <p class="nothing">No model is loaded. The next request loads one.</p>}
        <div class="live-models">
          {models.map((model) => (
            <ModelCard key={model.model.id} {...model} />
          ))}
        </div>

        <h3>What has happened</h3>
        {happened.length === 0 && <p class="nothing">Nothing yet, since this page was opened.</p>}
        <ol class="events" data-testid="events">
          {happened.map(({ at, text, bad }, index) => (
            <li key={happened.length - index} data-bad={bad}>
              <time dateTime={new Date(at).toISOString()}>{new Date(at).toLocaleTimeString()}</time>
              <span>{text}</span>
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}

function Tile({ term, value, testId }: { term: string; value: string; testId?: string }): JSX.Element {
  return (
    <div>
      <dt>{term}</dt>
      <dd data-testid={testId}>{value}</dd>
    </div>
  );
}

function ModelCard({ model, slots, plans, gpu }: LiveModel): JSX.Element {
  const { runtime } = model;
  return (
    <article class="live-model" aria-label={shortName(model)}>
      <header>
        <h4>{shortName(model)}</h4>
        {runtime && (
          <p>
            {describeCompute(runtime)}
            {gpu !== null && `, ${gpu.layers} layers`} · {describeEngine(runtime)} · {formatBytes(runtime.memory)}
          </p>
        )}
        {runtime?.gpuNote && <p>{runtime.gpuNote}</p>}
      </header>
      <ol class="slots" aria-label="Slots">
        {slots.map((slot) => (
          <SlotTile key={slot.id} {...slot} />
        ))}
      </ol>
      <PlanBars plans={plans} />
    </article>
  );
}

function SlotTile({ id, busy, decoded, limit }: Slot): JSX.Element {
  const doing = !busy ? 'idle' : limit === null ? formatTokens(decoded) : `${decoded} of ${formatTokens(limit)}`;
  return (
    <li data-busy={busy}>
      <span>Slot {id}</span>
      <strong>{doing}</strong>
      <span class="slot-bar" style={{ '--done': busy && limit ? decoded / limit : busy ? 1 : 0 }} />
    </li>
  );
}

/** The plans that were tried on this device, as bars. */
function PlanBars({ plans }: { plans: readonly PlanRate[] }): JSX.Element | null {
  if (plans.length === 0) return null;
  const most = Math.max(...plans.map(({ rate }) => rate));
  return (
    <div class="plans">
      <h5>
        {plans.some(({ measured }) => measured)
          ? 'How fast each plan is, as measured here while idle'
          : 'How fast each plan should be: they are measured after ten idle seconds'}
      </h5>
      <ul data-testid="plans">
        {plans.map(({ label, rate, measured, chosen }) => (
          <li key={label} data-measured={measured} data-chosen={chosen}>
            <span>
              {label}
              {chosen && <em>in use</em>}
            </span>
            <span class="plan-bar">
              <span style={{ width: `${(rate / most) * 100}%` }} />
            </span>
            <span class="numbers">
              {measured ? '' : 'about '}
              {formatRate(rate)}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
