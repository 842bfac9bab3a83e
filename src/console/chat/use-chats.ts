import { useCallback, useEffect, useReducer, useRef, useState } from 'preact/hooks';
import type { Server } from '../../index.ts';
import {
  type AnswerStats,
  begunAnswer,
  type Chat,
  type ChatAction,
  isGenerating,
  newChat,
  type Problem,
  reduceChat,
  type ToolCall,
  type ToolResult,
  toRequestMessages,
} from './chat.ts';
import { type ChatStore, createChatStore } from './chat-store.ts';
import { ApiError, type CompletionEvent, complete } from './complete.ts';
import { reduceLibrary } from './library.ts';
import { toRequest } from './request.ts';
import type { Settings } from './settings.ts';

export interface Chats {
  chats: readonly Chat[];
  /** The open one; undefined for a new one. */
  chat: Chat | undefined;
  /** Why chats are not kept, in words; undefined while they are. */
  notKept: string | undefined;
  open(id: string | null): void;
  rename(id: string, title: string): void;
  remove(id: string): void;
  /** After the last message that is shown. */
  ask(text: string, pictures: readonly string[]): void;
  /** In place of the question with this id, which stays as a branch. */
  askInstead(id: number, text: string): void;
  retry(answer: number): void;
  giveResults(answer: number, results: readonly ToolResult[]): void;
  show(id: number): void;
  stop(): void;
}

/** Milliseconds between two updates of the live rate. Faster than this, the digits would be unreadable. */
const RATE_INTERVAL = 400;

/** @param starting the server; a question that is asked before it has started waits for it */
export function useChats(starting: Promise<Server>, settings: Settings, chatModel: string): Chats {
  const [library, dispatch] = useReducer(reduceLibrary, { chats: [], open: null });
  const [notKept, setNotKept] = useState<string>();
  const [store] = useState(() => createChatStore(`llamatab-console:${new URL('./', document.baseURI).pathname}`));
  /** By chat: what ends its answer. */
  const running = useRef(new Map<string, AbortController>());
  /** By id: each chat as the store has it. */
  const kept = useRef(new Map<string, Chat>());
  useKept(library.chats, kept.current, store, setNotKept);

  useEffect(() => {
    store.load().then(
      (chats) => {
        for (const chat of chats) kept.current.set(chat.id, chat);
        dispatch({ type: 'loaded', chats });
      },
      () => setNotKept('This browser keeps no conversations here: they go with the tab.'),
    );
    return store.watch((id, chat) => {
      if (running.current.has(id)) return;
      if (chat) kept.current.set(id, chat);
      else kept.current.delete(id);
      dispatch(chat ? { type: 'put', chat, open: false } : { type: 'remove', id });
    });
  }, [store]);

  const chat = library.chats.find(({ id }) => id === library.open);
  const change = useCallback((id: string, change: ChatAction) => dispatch({ type: 'change', id, change }), []);

  /** Applies an action that begins an answer, and generates that. */
  const begin = (before: Chat, action: ChatAction) => {
    if (isGenerating(before)) return;
    const asked = reduceChat(before, action);
    dispatch({ type: 'put', chat: asked, open: true });
    void generate(asked, begunAnswer(asked));
  };

  /** Ends in exactly one of `done`, `stopped` and `failed`. */
  async function generate(asked: Chat, id: number): Promise<void> {
    const chatId = asked.id;
    const abort = new AbortController();
    running.current.set(chatId, abort);
    const meter = createMeter();
    let text = '';
    let reasoning = '';
    let calls: readonly ToolCall[] = [];
    let changed = false;
    let frame = 0;
    // Tokens may come faster than frames are drawn.
    const flush = () => {
      cancelAnimationFrame(frame);
      frame = 0;
      if (!changed) return;
      change(chatId, { type: 'add', id, text, reasoning, calls, stats: meter.read() });
      text = '';
      reasoning = '';
      changed = false;
    };
    let cutOff = false;
    let stats: AnswerStats | null = null;
    try {
      const server = await untilAborted(starting, abort.signal);
      const { status } = server;
      const model = status.models.find((candidate) => candidate.id === settings.model);
      const loaded = (model ?? status.models.find((candidate) => candidate.default))?.state === 'loaded';
      meter.start(loaded);
      const request = toRequest(settings, model?.id ?? 'local', toRequestMessages(asked, id, settings.systemPrompt));
      // Plain fetch, as any page would use it; `server.fetch` where the service worker doesn't answer that.
      const send = status.intercepts ? fetch : server.fetch;
      for await (const event of complete(send, server.baseURL, request, abort.signal)) {
        if (event.type === 'elsewhere') {
          change(chatId, { type: 'elsewhere', id, host: event.host });
          continue;
        }
        if (event.type === 'text') text += event.text;
        else if (event.type === 'reasoning') reasoning += event.text;
        else if (event.type === 'call') calls = withCall(calls, event);
        else if (event.type === 'finish') cutOff = event.reason === 'length';
        else stats = { ...meter.read(), tokens: event.tokens, rate: event.rate };
        if (event.type !== 'finish' && event.type !== 'usage') {
          meter.count();
          changed = true;
        }
        if (frame === 0) frame = requestAnimationFrame(flush);
      }
      flush();
      change(chatId, { type: 'done', id, stats: stats ?? meter.read(), cutOff });
    } catch (error) {
      flush();
      if (abort.signal.aborted) change(chatId, { type: 'stopped', id });
      else change(chatId, { type: 'failed', id, problem: toProblem(error) });
    }
    if (running.current.get(chatId) === abort) running.current.delete(chatId);
  }

  const stopChat = (id: string) => running.current.get(id)?.abort();
  const beginIn = (action: ChatAction) => chat && begin(chat, action);
  return {
    chats: library.chats,
    chat,
    notKept,
    open: (id) => dispatch({ type: 'open', id }),
    rename: (id, title) => change(id, { type: 'rename', title }),
    remove(id) {
      stopChat(id);
      dispatch({ type: 'remove', id });
    },
    ask(text, pictures) {
      const now = Date.now();
      const before = chat ?? newChat(crypto.randomUUID(), now);
      begin(before, { type: 'ask', after: before.leaf, text, pictures, model: chatModel, now });
    },
    askInstead(id, text) {
      const question = chat?.messages.find((message) => message.id === id);
      if (question?.role !== 'user') return;
      const { parent, pictures } = question;
      beginIn({ type: 'ask', after: parent, text, pictures, model: chatModel, now: Date.now() });
    },
    retry: (answer) => beginIn({ type: 'retry', answer, model: chatModel, now: Date.now() }),
    giveResults: (answer, results) => beginIn({ type: 'results', answer, results, model: chatModel, now: Date.now() }),
    show: (id) => chat && change(chat.id, { type: 'show', id }),
    stop: () => chat && stopChat(chat.id),
  };
}

/**
 * Saves chats as they change. What grows is saved when it is asked and when it is whole, and in between when the page is left: a
 * write for each frame would keep the disk busy.
 */
function useKept(
  chats: readonly Chat[],
  kept: Map<string, Chat>,
  store: ChatStore,
  onFailure: (why: string) => void,
): void {
  const save = useCallback(
    (chat: Chat) => {
      if (kept.get(chat.id) === chat) return;
      kept.set(chat.id, chat);
      store.save(chat).catch((error: unknown) => {
        onFailure(`This conversation could not be kept: ${error instanceof Error ? error.message : error}`);
      });
    },
    [kept, store, onFailure],
  );

  const before = useRef<readonly Chat[]>([]);
  useEffect(() => {
    for (const chat of chats) {
      if (!isGenerating(chat) || kept.get(chat.id)?.messages.length !== chat.messages.length) save(chat);
    }
    const ids = new Set(chats.map(({ id }) => id));
    for (const { id } of before.current) {
      if (!ids.has(id) && kept.delete(id)) store.remove(id).catch(() => {});
    }
    before.current = chats;
  }, [chats, kept, save, store]);

  useEffect(() => {
    const onHide = () => {
      if (document.visibilityState === 'hidden') for (const chat of before.current) save(chat);
    };
    document.addEventListener('visibilitychange', onHide);
    return () => document.removeEventListener('visibilitychange', onHide);
  }, [save]);
}

/** The calls with more of one of them. A name comes once, arguments in pieces. */
function withCall(calls: readonly ToolCall[], more: Extract<CompletionEvent, { type: 'call' }>): readonly ToolCall[] {
  const { id, name, arguments: given } = calls[more.index] ?? { id: '', name: '', arguments: '' };
  const call = { id: id || more.id, name: name + more.name, arguments: given + more.arguments };
  return [...calls.slice(0, more.index), call, ...calls.slice(more.index + 1)];
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
