/** What a Content-Security-Policy forbade, as the directive to change. Browsers tell of it apart from the failure that it causes. */
import { LlamatabError } from './errors.ts';

export interface PolicyWatch {
  /** The remedy for what was forbidden here last, as a sentence; null if nothing was. */
  readonly remedy: string | null;
  /** The same, for something that has failed just now: some browsers tell a moment later what forbade it. */
  remedyOfFailure(): Promise<string | null>;
}

/** Milliseconds: Firefox (153) and WebKit (2.50) take one or two, on an idle machine. */
const TOLD_WITHIN = 200;

/**
 * @param scope a window or a worker's global scope. What is forbidden to a nested worker is told there only.
 * @param concerns which violations are ours. Default: those of workers and WebAssembly.
 */
export function watchPolicy(
  scope: Partial<Pick<EventTarget, 'addEventListener'>> = globalThis,
  concerns = ({ effectiveDirective }: Violation) => /^(worker|child|script)-src/.test(effectiveDirective),
): PolicyWatch {
  let remedy: string | null = null;
  let onRemedy = () => {};
  scope.addEventListener?.('securitypolicyviolation', (event) => {
    const violation = event as SecurityPolicyViolationEvent;
    if (!concerns(violation)) return;
    remedy = remedyOf(violation) ?? remedy;
    onRemedy();
  });
  return {
    get remedy() {
      return remedy;
    },
    async remedyOfFailure() {
      if (remedy !== null) return remedy;
      await new Promise<void>((resolve) => {
        onRemedy = resolve;
        setTimeout(resolve, TOLD_WITHIN);
      });
      return remedy;
    },
  };
}

/**
 * @returns `fetch`, but for what a policy forbids: that fails with the directive to change, in place of the browser's "Failed to fetch".
 * @param scope as for `watchPolicy`.
 */
export function fetchUnderPolicy(
  scope: Partial<Pick<EventTarget, 'addEventListener'>> = globalThis,
  fetch = (url: string, init?: RequestInit) => globalThis.fetch(url, init),
): (url: string, init?: RequestInit) => Promise<Response> {
  /** By origin. */
  const remedies = new Map<string, string>();
  scope.addEventListener?.('securitypolicyviolation', (event) => {
    const violation = event as SecurityPolicyViolationEvent;
    const remedy = violation.effectiveDirective === 'connect-src' ? remedyOf(violation) : null;
    if (remedy !== null && URL.canParse(violation.blockedURI)) {
      remedies.set(new URL(violation.blockedURI).origin, remedy);
    }
  });
  return async (url, init) => {
    try {
      return await fetch(url, init);
    } catch (error) {
      const { origin } = new URL(url);
      if (!remedies.has(origin)) await new Promise((resolve) => setTimeout(resolve, TOLD_WITHIN));
      const remedy = remedies.get(origin);
      if (remedy === undefined) throw error;
      throw new LlamatabError(
        'unavailable_error',
        `${url.replace(/[?#].*$/s, '')} can't be reached. ${remedy} If it is there, the address leads on to another server: add that one.`,
        { cause: error },
      );
    }
  };
}

type Violation = Pick<SecurityPolicyViolationEvent, 'effectiveDirective' | 'blockedURI' | 'disposition'>;

export function remedyOf({ effectiveDirective, blockedURI, disposition }: Violation): string | null {
  if (disposition === 'report') return null;
  if (blockedURI === 'wasm-eval') return allow('script-src', "'wasm-unsafe-eval'");
  // Chromium gives the scheme alone.
  if (blockedURI.startsWith('blob')) return allow(effectiveDirective, 'blob:');
  const source = URL.canParse(blockedURI) ? new URL(blockedURI).origin : blockedURI;
  return allow(effectiveDirective, source === globalThis.location?.origin ? "'self'" : source);
}

/**
 * The remedy where the browser's own message is all there is: the engine is compiled in a worker of its own. "The operation is insecure."
 * is all that WebKit says of a worker that it may not start.
 */
export function remedyOfMessage(message: string): string | null {
  if (!/Content.Security.Policy|blocked by CSP|unsafe-eval|operation is insecure/i.test(message)) return null;
  return /worker|insecure/i.test(message) ? allow('worker-src', 'blob:') : allow('script-src', "'wasm-unsafe-eval'");
}

function allow(directive: string, source: string): string {
  return `The site's Content-Security-Policy forbids it: add ${source} to ${directive}.`;
}
