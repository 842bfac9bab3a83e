/**
 * The one error class, and llama-server's error types.
 *
 * Every failure that a caller can see has one of these types; `toEnvelope()` and `status` say how it looks over HTTP.
 */

/** llama-server's error types and the HTTP status of each. */
export const ERROR_STATUS = {
  invalid_request_error: 400,
  exceed_context_size_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  /** OpenAI's name for a model that doesn't exist, which can't happen to a llama-server with a single model. */
  model_not_found: 404,
  server_error: 500,
  not_supported_error: 501,
  unavailable_error: 503,
} as const;

export type ErrorType = keyof typeof ERROR_STATUS;

/** The body of every error answer: llama-server's envelope, with OpenAI's `param`. */
export interface ErrorEnvelope {
  error: {
    code: number;
    message: string;
    type: ErrorType;
    param: string | null;
    /** The page has to be reloaded: the site was deployed anew since it was opened. */
    reload?: true;
    /** Tokens in the prompt; with `exceed_context_size_error` only. */
    n_prompt_tokens?: number;
    /** Tokens that fit into a slot's context; with `exceed_context_size_error` only. */
    n_ctx?: number;
  };
}

export interface ErrorDetails {
  /** The request field that is at fault, if there is one. */
  param?: string | null | undefined;
  reload?: true | undefined;
  n_prompt_tokens?: number | undefined;
  n_ctx?: number | undefined;
  cause?: unknown;
}

/**
 * The error that every function of the API throws or rejects with.
 *
 * @example
 * ```ts
 * import { LlamatabError, serve } from 'llamatab';
 *
 * const server = await serve({ preload: false });
 * try {
 *   await server.models.load('no-such-model');
 * } catch (error) {
 *   if (!(error instanceof LlamatabError)) throw error;
 *   console.log(error.type, error.status, error.message);
 * }
 * ```
 */
export class LlamatabError extends Error {
  override readonly name = 'LlamatabError';
  readonly type: ErrorType;
  readonly details: ErrorDetails;

  constructor(type: ErrorType, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.type = type;
    this.details = details;
  }

  /** HTTP status of the answer. */
  get status(): number {
    return ERROR_STATUS[this.type];
  }

  toEnvelope(): ErrorEnvelope {
    const { param = null, reload, n_prompt_tokens, n_ctx } = this.details;
    return {
      error: {
        code: this.status,
        message: this.message,
        type: this.type,
        param,
        ...(reload ? { reload } : {}),
        ...(n_prompt_tokens === undefined ? {} : { n_prompt_tokens }),
        ...(n_ctx === undefined ? {} : { n_ctx }),
      },
    };
  }

  /** The error that an answer was made from. */
  static fromEnvelope({ error: { type, message, code: _, ...details } }: ErrorEnvelope): LlamatabError {
    return new LlamatabError(type, message, details);
  }

  /** Turns any thrown value into a `LlamatabError`: itself, or a `server_error` with it as `cause`. */
  static from(error: unknown): LlamatabError {
    if (error instanceof LlamatabError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new LlamatabError('server_error', message, { cause: error });
  }
}

/** A request that is at fault in one field. */
export function invalid(param: string, message: string, type: ErrorType = 'invalid_request_error'): LlamatabError {
  return new LlamatabError(type, message, { param });
}

/**
 * The one answer where a page and the site's engine are of deploys that can't talk to each other.
 * @param why without a full stop.
 */
export function reloadNeeded(why: string, cause?: unknown): LlamatabError {
  return new LlamatabError('unavailable_error', `${why}. Reload the page.`, { reload: true, cause });
}

/** Whether something was rejected only because the caller aborted it. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
