/**
 * The one error class, and llama-server's error types that it carries.
 *
 * Every failure that a caller can meet is one of these types; `toEnvelope()` and `status` are how it looks over HTTP.
 */

/** llama-server's error types and the HTTP status of each. */
export const ERROR_STATUS = {
  invalid_request_error: 400,
  exceed_context_size_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  /** OpenAI's own name for a model that does not exist; llama-server's single-model mode has no such case. */
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
    /** Tokens in the prompt; with `exceed_context_size_error` only. */
    n_prompt_tokens?: number;
    /** Tokens that a slot's context holds; with `exceed_context_size_error` only. */
    n_ctx?: number;
  };
}

export interface ErrorDetails {
  /** The request field at fault, if it is one field's. */
  param?: string | null | undefined;
  n_prompt_tokens?: number | undefined;
  n_ctx?: number | undefined;
  cause?: unknown;
}

export class LlamatabError extends Error {
  override readonly name = 'LlamatabError';
  readonly type: ErrorType;
  readonly details: ErrorDetails;

  constructor(type: ErrorType, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.type = type;
    this.details = details;
  }

  /** The HTTP status that this error is answered with. */
  get status(): number {
    return ERROR_STATUS[this.type];
  }

  toEnvelope(): ErrorEnvelope {
    const { param = null, n_prompt_tokens, n_ctx } = this.details;
    return {
      error: {
        code: this.status,
        message: this.message,
        type: this.type,
        param,
        ...(n_prompt_tokens === undefined ? {} : { n_prompt_tokens }),
        ...(n_ctx === undefined ? {} : { n_ctx }),
      },
    };
  }

  /** What an error answer says, as it was thrown. */
  static fromEnvelope({ error: { type, message, code: _, ...details } }: ErrorEnvelope): LlamatabError {
    return new LlamatabError(type, message, details);
  }

  /** Any thrown value as a `LlamatabError`: itself, or a `server_error` that keeps it as `cause`. */
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

/** Whether a rejection is only the caller's own abort. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
