/**
 * What `wllama-engine.ts` needs of @wllama/wllama and that its public API does not give: the raw actions with llama.cpp's error
 * envelopes, and an end to its habit of failing every request for the fault of one. All use of wllama's internals is here;
 * docs/engine.md tells of each why.
 */
import type {
  GlueMsgCancelReq,
  GlueMsgCancelRes,
  GlueMsgCompletionReq,
  GlueMsgCompletionRes,
  GlueMsgEmbeddingReq,
  GlueMsgEmbeddingRes,
  GlueMsgGetResultReq,
  GlueMsgGetResultRes,
  GlueMsgRealtimeSendReq,
  GlueMsgRealtimeSendRes,
  GlueMsgRealtimeStartReq,
  GlueMsgRealtimeStartRes,
  GlueMsgRerankReq,
  GlueMsgRerankRes,
  GlueMsgTtsReq,
  GlueMsgTtsRes,
} from '@wllama/wllama/esm/glue/messages.js';
import type { Wllama } from '@wllama/wllama/esm/index.js';
import { watchPolicy } from '../content-policy.ts';
import { ERROR_STATUS, type ErrorType, LlamatabError } from '../errors.ts';
import { EngineLost } from './engine.ts';
import { Watchdog } from './watchdog.ts';

/** The part of wllama's internals that is used: `ProxyToWorker` in its worker.ts. */
interface Proxy {
  worker?: Worker;
  resources: { compat: boolean };
  /** Threads that are made with the module; 0 for the single-threaded one. */
  nbThread: number;
  /** Gives the engine its files. */
  moduleInit(files: NamedBlob[]): Promise<unknown>;
  /** Calls that the nested worker has not answered. It runs them one at a time, in this order. */
  resultQueue: { reject(error: unknown): void; param: { verb: string; args?: unknown[] } }[];
  wllamaAction<Name extends ActionName>(name: Name, body: object): Promise<Actions[Name]['gives']>;
}

interface NamedBlob {
  name: string;
  blob: Blob;
}

interface Internals {
  proxy: Proxy | null;
  exit(): Promise<void>;
}

/** The actions that are used: what each takes and gives, as wllama declares it. */
interface Actions {
  completion: { takes: GlueMsgCompletionReq; gives: GlueMsgCompletionRes };
  embedding: { takes: GlueMsgEmbeddingReq; gives: GlueMsgEmbeddingRes };
  rerank: { takes: GlueMsgRerankReq; gives: GlueMsgRerankRes };
  tts: { takes: GlueMsgTtsReq; gives: GlueMsgTtsRes };
  realtime_start: { takes: GlueMsgRealtimeStartReq; gives: GlueMsgRealtimeStartRes };
  realtime_send: { takes: GlueMsgRealtimeSendReq; gives: GlueMsgRealtimeSendRes };
  get_result: { takes: GlueMsgGetResultReq; gives: GlueMsgGetResultRes };
  cancel: { takes: GlueMsgCancelReq; gives: GlueMsgCancelRes };
}
type ActionName = keyof Actions;

const MESSAGE_NAMES: { [Name in ActionName]: Actions[Name]['takes']['_name'] } = {
  completion: 'cmpl_req',
  embedding: 'embd_req',
  rerank: 'rrnk_req',
  tts: 'tts__req',
  realtime_start: 'rtst_req',
  realtime_send: 'rtsd_req',
  get_result: 'gres_req',
  cancel: 'cncl_req',
};

/** "GLUE", with which every message begins. */
const MAGIC_NUMBER = 0x45554c47;

/**
 * A C++ exception comes back as a null pointer, and wllama's worker reads the request's magic number as the length of what
 * lies there. It fails to copy so much; or, where the engine's memory is larger than that, copies it. The exception's reason
 * went to the log just before.
 */
const CPP_EXCEPTION = new RegExp(`Invalid typed array length: ${MAGIC_NUMBER}|Array buffer allocation failed`);

/** Of the engine worker, which makes wllama's. */
const policy = watchPolicy();

/** Firefox (153) tells a worker neither that its policy forbids another one, nor anything else. */
const UNTOLD = 'If the site has a Content-Security-Policy, add blob: to worker-src.';

/** Lines of the engine's log that are kept, to tell why something failed and what is on a GPU: a large model writes some hundreds. */
const LOG_LINES = 1000;

export class WllamaGuard {
  /** Settles when the engine can't be used any more. */
  readonly lost: Promise<LlamatabError>;
  /** The engine's last lines, oldest first. */
  readonly log: string[] = [];
  /** Called for each step that the engine is asked to compute, for all of its tasks at once. */
  onStep: () => void = () => {};
  /** Seconds that one call may take. */
  callLimit = Number.POSITIVE_INFINITY;
  readonly #watchdog = new Watchdog((seconds) => this.#onHang(seconds));
  #wllama: Internals | null = null;
  /** llama.cpp's last error, of one line or several. */
  #lastError: string[] = [];
  #inError = false;
  #lose: (reason: LlamatabError) => void = () => {};
  #reason: LlamatabError | null = null;

  constructor() {
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  /** For wllama's constructor. */
  readonly logger = {
    debug: (...lines: unknown[]) => this.#keep(lines),
    log: (...lines: unknown[]) => {
      const [line] = lines;
      // Only the first line of an error is marked as one.
      const continues = this.#inError && typeof line === 'string' && this.#lastError.length < LOG_LINES;
      this.#keep(lines);
      if (continues) this.#lastError.push(line);
      this.#inError = continues;
    },
    warn: (...lines: unknown[]) => this.#keep(lines),
    error: (...lines: unknown[]) => {
      // wllama has the nested worker's `error` event logged, and nothing else come of it.
      const [first] = lines;
      if (first instanceof Event) {
        const { message } = first as ErrorEvent;
        const what = `The engine's worker failed: ${message || 'it could not be started'}`;
        const remedy = policy.remedy ?? (message ? null : UNTOLD);
        this.lose(remedy === null ? what : `${what}. ${remedy}`);
      } else if (typeof first === 'string') {
        this.#keep(lines);
        this.#lastError = [first];
        this.#inError = true;
      }
    },
  };

  #keep(lines: unknown[]) {
    const [line] = lines;
    this.#inError = false;
    if (typeof line !== 'string') return;
    this.log.push(line);
    if (this.log.length > LOG_LINES) this.log.shift();
  }

  get #proxy(): Proxy | null {
    return this.#wllama?.proxy ?? null;
  }

  /**
   * To be called before `loadModel`. wllama makes its worker somewhere within that, and the worker's first words may be that
   * it failed: so we wait where wllama keeps it.
   * @param spareThreads Threads that are made beside those that compute: C++ that starts one where there is none left waits
   *   for ever, since the browser makes it only once C++ has returned.
   * @param files What the engine finds in `models/` beside the files that wllama is given.
   */
  attach(wllama: Wllama, { spareThreads = 0, files = [] }: { spareThreads?: number; files?: NamedBlob[] } = {}): void {
    const internals = wllama as unknown as Internals;
    this.#wllama = internals;
    onAssigned(internals, 'proxy', (proxy) => {
      if (proxy === null) return;
      if (proxy.nbThread > 0) proxy.nbThread += spareThreads;
      const { moduleInit } = proxy;
      proxy.moduleInit = (models) => moduleInit.call(proxy, [...models, ...files]);
      onAssigned(proxy, 'worker', (worker) => worker && this.#listen(proxy, worker));
    });
  }

  /** Hears what the nested worker says before wllama does, and keeps a crash or an exception from it. */
  #listen(proxy: Proxy, worker: Worker) {
    // Given up before wllama had made its worker, which it then makes all the same.
    if (this.#reason) return void this.#wllama?.exit();
    worker.addEventListener('message', (event) => {
      const { verb, args, result } = event.data ?? {};
      if (result instanceof Uint8Array && result.length === MAGIC_NUMBER) {
        event.stopImmediatePropagation();
        this.#failFirst(proxy);
      }
      if (verb !== 'signal.abort') return;
      event.stopImmediatePropagation();
      const [kind, message] = args as [string, unknown];
      if (kind === 'exception' && CPP_EXCEPTION.test(String(message))) this.#failFirst(proxy);
      else this.lose(crashReason(String(message ?? ''), this.log));
    });
  }

  /** Rejects the one call that is being run, with the reason that llama.cpp logged. */
  #failFirst(proxy: Proxy) {
    const index = proxy.resultQueue.findIndex(isAction);
    const [task] = index === -1 ? [] : proxy.resultQueue.splice(index, 1);
    task?.reject(refusal(this.#lastError.join('\n').trimEnd()));
    this.#lastError = [];
  }

  /**
   * A step is computed for all tasks, and any of them may be what it hangs on. Everything else is one request's own: what
   * took so long once is not tried again.
   */
  #onHang(seconds: number) {
    const what = `the engine did not come back from a step within ${seconds} seconds, far longer than this device takes for one`;
    const running = this.#proxy?.resultQueue.find(isAction);
    if (running !== undefined && running.param.args?.[0] !== 'get_result') {
      running.reject(
        new LlamatabError(
          'server_error',
          `This request was given up: ${what}. Send a simpler schema or grammar, or a shorter prompt.`,
        ),
      );
    }
    this.lose(`The engine was given up and started again: ${what}.`);
  }

  /** Gives the engine up: rejects what is under way, ends its worker. */
  lose(reason: string | LlamatabError): void {
    if (this.#reason) return;
    this.#reason = typeof reason === 'string' ? new EngineLost(reason) : reason;
    this.#lose(this.#reason);
    // It rejects what is under way, and whatever wllama would go on to ask.
    void this.#wllama?.exit();
  }

  get compat(): boolean {
    return this.#proxy?.resources.compat ?? false;
  }

  /** Why the engine can't be used any more; null while it can. */
  get reason(): LlamatabError | null {
    return this.#reason;
  }

  /** One action of wllama's worker. @throws LlamatabError */
  async action<Name extends ActionName>(
    name: Name,
    fields: Omit<Actions[Name]['takes'], '_name'>,
  ): Promise<Actions[Name]['gives']> {
    if (this.#reason) throw this.#reason;
    const proxy = this.#proxy;
    if (!proxy) throw new Error('not attached');
    if (name === 'get_result') this.onStep();
    const end = this.#watchdog.watch(this.callLimit);
    let result: Actions[Name]['gives'];
    try {
      result = await proxy.wllamaAction(name, { _name: MESSAGE_NAMES[name], ...fields });
    } catch (error) {
      // Ours says more than what wllama rejects everything with that is under way.
      throw error instanceof LlamatabError ? error : (this.#reason ?? LlamatabError.from(error));
    } finally {
      end();
    }
    if (!result.success) throw refusal('message' in result ? result.message : '');
    return result;
  }
}

function isAction({ param }: Proxy['resultQueue'][number]): boolean {
  return param.verb === 'wllama.action';
}

/**
 * llama-server writes tokens that are no UTF-8 with replacement characters; wllama's JSON throws on them: a byte of a
 * vocabulary that no text has, or the middle of a character, among the tokens that `n_probs` asks for.
 */
function refusal(message: string): LlamatabError {
  const reason = message || 'llama.cpp refused this request without a reason.';
  if (!reason.includes('json.exception.type_error.316')) return new LlamatabError('invalid_request_error', reason);
  return new LlamatabError(
    'invalid_request_error',
    `${reason}. The engine can't write a token that is only a part of a character: ask for fewer with 'n_probs' or 'top_logprobs', or for none.`,
    { param: 'n_probs' },
  );
}

/** What a log line of a crash is known by. Of several, the last one is nearest to it. */
const CRASH = /abort|assert|error|fail|lost|out of memory/i;

/** llama.cpp aborts without a message, and logs the reason just before. A GPU that goes away makes it abort, too. */
export function crashReason(message: string, log: readonly string[]): string {
  const reason = message.trim() || log.findLast((line) => CRASH.test(line))?.trim() || 'it gave no reason';
  const lost = log.findLast((line) => /device (was )?lost/i.test(line));
  return lost === undefined ? `The engine crashed: ${reason}` : `The GPU was lost: ${lost.trim()}`;
}

/** Calls `then` with each value that is assigned to a property, which goes on to hold it. */
function onAssigned<T extends object, K extends keyof T>(target: T, key: K, then: (value: T[K]) => void): void {
  let value = target[key];
  Object.defineProperty(target, key, {
    get: () => value,
    set(assigned: T[K]) {
      value = assigned;
      then(assigned);
    },
  });
}

/** llama.cpp's error, as `get_result` gives it, with its type, status and numbers kept. */
export function toError(error: {
  message?: string;
  type?: string;
  n_prompt_tokens?: number;
  n_ctx?: number;
}): LlamatabError {
  const { message = 'unknown error', type = 'server_error', n_prompt_tokens, n_ctx } = error;
  // wllama takes llama.cpp's way in for its command line, which says where it was; llama-server's does not.
  const reason = message.replace(/^Failed to format input: /, '');
  return new LlamatabError(type in ERROR_STATUS ? (type as ErrorType) : 'server_error', reason, {
    n_prompt_tokens,
    n_ctx,
  });
}
