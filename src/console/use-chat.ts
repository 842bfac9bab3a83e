import { useReducer, useRef } from 'preact/hooks';
import type { Server } from '../index.ts';
import { type AnswerStats, type Chat, isGenerating, type Problem, reduceChat, toRequestMessages } from './chat.ts';
import { ApiError, complete } from './complete.ts';
import type { Settings } from './settings.ts';

export interface ChatControls {
  chat: Chat;
  ask(text: string): void;
  retry(): void;
  stop(): void;
  clear(): void;
}

/** Milliseconds between two updates of the live rate. Faster than this, the digits would be unreadable. */
const RATE_INTERVAL = 400;

/** @param starting the server; a question that is asked before it has started waits for it */
export function useChat(starting: Promise<Server>, settings: Settings): ChatControls {
  const [chat, dispatch] = useReducer(reduceChat, []);
  const nextId = useRef(1);
  const running = useRef<AbortController | null>(null);

  /** Generates answer `id`, the last of `asked`. Ends in exactly one of `done`, `stopped` and `failed`. */
  async function generate(asked: Chat, id: number): Promise<void> {
    const abort = new AbortController();
    running.current = abort;
    const meter = createMeter();
    let text = '';
    let reasoning = '';
    let frame = 0;
    // Tokens may come faster than frames are drawn.
    const flush = () => {
      cancelAnimationFrame(frame);
      frame = 0;
      if (text === '' && reasoning === '') return;
      dispatch({ type: 'add', id, text, reasoning, stats: meter.read() });
      text = '';
      reasoning = '';
    };
    let cutOff = false;
    let stats: AnswerStats | null = null;
    try {
      const server = await untilAborted(starting, abort.signal);
      const { status } = server;
      const model = status.models.find((candidate) => candidate.id === settings.model);
      const loaded = (model ?? status.models.find((candidate) => candidate.default))?.state === 'loaded';
      meter.start(loaded);
      const request = {
        model: model?.id ?? 'local',
        messages: toRequestMessages(asked, settings.systemPrompt),
        temperature: settings.temperature,
        max_tokens: settings.maxTokens,
      };
      // Plain fetch, as any page would use it; `server.fetch` where the service worker doesn't answer that.
      const send = status.intercepts ? fetch : server.fetch;
      for await (const event of complete(send, server.baseURL, request, abort.signal)) {
        if (event.type === 'text') text += event.text;
        else if (event.type === 'reasoning') reasoning += event.text;
        else if (event.type === 'finish') cutOff = event.reason === 'length';
        else stats = { ...meter.read(), tokens: event.tokens, rate: event.rate };
        if (event.type === 'text' || event.type === 'reasoning') meter.count();
        if (frame === 0) frame = requestAnimationFrame(flush);
      }
      flush();
      dispatch({ type: 'done', id, stats: stats ?? meter.read(), cutOff });
    } catch (error) {
      flush();
      if (abort.signal.aborted) dispatch({ type: 'stopped', id });
      else dispatch({ type: 'failed', id, problem: toProblem(error) });
    }
    if (running.current === abort) running.current = null;
  }

  const stop = () => running.current?.abort();
  return {
    chat,
    ask(text) {
      if (isGenerating(chat)) return;
      const action = { type: 'ask', id: nextId.current, text } as const;
      nextId.current += 2;
      dispatch(action);
      void generate(reduceChat(chat, action), action.id + 1);
    },
    retry() {
      if (isGenerating(chat)) return;
      const action = { type: 'retry', id: nextId.current++ } as const;
      dispatch(action);
      void generate(reduceChat(chat, action), action.id);
    },
    stop,
    clear() {
      stop();
      dispatch({ type: 'clear' });
    },
  };
}

/** Counts and times an answer's tokens, as the caller sees them. */
function createMeter() {
  let sent: number | null = null;
  let first: number | null = null;
  let tokens = 0;
  let rate = 0;
  let rated = 0;
  return {
    /** @param warm whether the model is loaded, so that the time to the first token is the engine's alone */
    start(warm: boolean) {
      sent = warm ? performance.now() : null;
    },
    count() {
      first ??= performance.now();
      tokens++;
    },
    read(): AnswerStats {
      const now = performance.now();
      if (first !== null && tokens > 1 && now - rated > RATE_INTERVAL) {
        rate = ((tokens - 1) / (now - first)) * 1000;
        rated = now;
      }
      return { tokens, rate, firstToken: first === null || sent === null ? null : first - sent };
    },
  };
}

function toProblem(error: unknown): Problem {
  if (error instanceof ApiError) return { type: error.type, message: error.message };
  return { type: 'unreachable', message: error instanceof Error ? error.message : String(error) };
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}
