import type { JSX } from 'preact';
import { roundUp } from './live.ts';
import './chart.css';

export interface Series {
  label: string;
  /** The latest last. */
  values: readonly number[];
}

interface Props {
  title: string;
  /** One to three of one unit. */
  series: readonly Series[];
  /** Values that fit: fewer are drawn from the right. */
  length: number;
  format: (value: number) => string;
  /** What the time axis spans, in words: `the last 2 minutes`. */
  span: string;
}

const WIDTH = 600;
const HEIGHT = 120;

/** Lines over time. */
export function Chart({ title, series, length, format, span }: Props): JSX.Element {
  const top = roundUp(Math.max(...series.flatMap(({ values }) => values), 0));
  const x = (index: number, count: number) => WIDTH - ((count - 1 - index) / (length - 1)) * WIDTH;
  const y = (value: number) => HEIGHT - (value / top) * HEIGHT;
  const spoken = series
    .map(({ label, values }) => `${label} ${format(values.at(-1) ?? 0)}, at most ${format(Math.max(...values, 0))}`)
    .join('; ');
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul>
          {series.map(({ label, values }, index) => (
            <li key={label} data-series={index + 1}>
              {series.length > 1 && <span class="chart-label">{label}</span>}
              <strong>{format(values.at(-1) ?? 0)}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      <div class="chart-plot" role="img" aria-label={`${title} over ${span}: ${spoken}.`}>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
          <path class="chart-grid" d={`M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}`} />
          {series.map(({ label, values }, index) => {
            const points = values.map((value, at) => `${x(at, values.length).toFixed(1)} ${y(value).toFixed(1)}`);
            if (points.length < 2) return null;
            const line = `M${points.join('L')}`;
            return (
              <g key={label} data-series={index + 1}>
                {index === 0 && <path class="chart-area" d={`${line}V${HEIGHT}H${x(0, values.length).toFixed(1)}Z`} />}
                <path class="chart-line" d={line} />
              </g>
            );
          })}
        </svg>
        <span class="chart-top">{format(top)}</span>
        <span class="chart-bottom">0</span>
      </div>
    </figure>
  );
}
