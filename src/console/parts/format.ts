/** Formats numbers for people. A number and its unit are joined by a no-break space. */

const MEGABYTE = 1e6;
const GIGABYTE = 1e9;
const NBSP = '\u00a0';

/** Three digits: 4.82, 48.2, 482. */
function short(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** `98.4 MB`, `1.27 GB`. */
export function formatBytes(bytes: number): string {
  return bytes < GIGABYTE ? `${short(bytes / MEGABYTE)}${NBSP}MB` : `${short(bytes / GIGABYTE)}${NBSP}GB`;
}

/** `48.2 of 98.4 MB`, in the total's unit and precision, so that the text keeps its width while it counts. */
export function formatBytesOf(loaded: number, total: number): string {
  const unit = total < GIGABYTE ? MEGABYTE : GIGABYTE;
  const digits = total / unit < 10 ? 2 : total / unit < 100 ? 1 : 0;
  return `${(loaded / unit).toFixed(digits)} of ${formatBytes(total)}`;
}

/** 0 to 100, and 100 only when `loaded` is all of `total`. */
export function percentOf(loaded: number, total: number): number {
  return total > 0 ? Math.min(100, Math.floor((loaded / total) * 100)) : 0;
}

/** `48.2 of 98.4 MB · 49 % · 31 MB/s · 2 s left`; without speed and time left while nothing arrives. */
export function formatProgress({ loaded, total, speed }: { loaded: number; total: number; speed: number }): string {
  const parts = [formatBytesOf(loaded, total), `${percentOf(loaded, total)}${NBSP}%`];
  if (speed > 0 && loaded < total) {
    const rate = speed / MEGABYTE;
    parts.push(`${rate < 10 ? rate.toFixed(1) : rate.toFixed(0)}${NBSP}MB/s`);
    parts.push(`${formatDuration((total - loaded) / speed)} left`);
  }
  return parts.join(' · ');
}

/** `2 s`, `1 min 5 s`, `1 h 2 min`; never `0 s`. @param seconds */
export function formatDuration(seconds: number): string {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 60) return `${whole}${NBSP}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}${NBSP}min ${whole % 60}${NBSP}s`;
  return `${Math.floor(whole / 3600)}${NBSP}h ${Math.floor((whole % 3600) / 60)}${NBSP}min`;
}

/** `42.1 tokens/s`. @param perSecond tokens a second */
export function formatRate(perSecond: number): string {
  return `${perSecond < 100 ? perSecond.toFixed(1) : perSecond.toFixed(0)}${NBSP}tokens/s`;
}

/** `84 ms`, `1.2 s`. @param milliseconds */
export function formatLatency(milliseconds: number): string {
  return milliseconds < 1000
    ? `${Math.round(milliseconds)}${NBSP}ms`
    : `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 1 : 0)}${NBSP}s`;
}

/** `1 token`, `198 tokens`. */
export function formatTokens(count: number): string {
  return `${count}${NBSP}${count === 1 ? 'token' : 'tokens'}`;
}
