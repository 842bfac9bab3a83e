/** What a Content-Security-Policy forbade, as the directive to change. Browsers tell of it apart from the failure that it causes. */

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
