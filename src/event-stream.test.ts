import { describe, expect, it } from 'vitest';
import { createEventParser, readEvents } from './event-stream.ts';

const fixture = [
  ': keep-alive\n\n',
  'data: {"a":"ä🦙"}\n\n',
  'event: x\nid: 1\ndata:no space\n\n',
  'data: two\r\ndata:  lines\r\n\r\n',
  'data: old\r\r',
  'data\n\n',
  'data: [DONE]\n\n',
  'data: never ended\n',
].join('');
const events = ['{"a":"ä🦙"}', 'no space', 'two\n lines', 'old', '', '[DONE]'];

function bodyOf(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

describe('createEventParser', () => {
  it('returns the data of whole events', () => {
    expect(createEventParser()(fixture)).toEqual(events);
  });

  it('keeps an incomplete event for later', () => {
    const parse = createEventParser();
    expect(parse('data: hel')).toEqual([]);
    expect(parse('lo\n')).toEqual([]);
    expect(parse('\n')).toEqual(['hello']);
  });
});

describe('readEvents', () => {
  const bytes = new TextEncoder().encode(fixture);

  it('gives the same events wherever the bytes are cut', async () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const got: string[] = [];
      for await (const data of readEvents(bodyOf(bytes.slice(0, cut), bytes.slice(cut)))) got.push(data);
      expect(got, `cut at byte ${cut}`).toEqual(events);
    }
  });

  it('gives the same events byte by byte', async () => {
    const got: string[] = [];
    for await (const data of readEvents(bodyOf(...Array.from(bytes, (byte) => Uint8Array.of(byte))))) got.push(data);
    expect(got).toEqual(events);
  });

  it('cancels the body when its reader leaves early', async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new TextEncoder().encode('data: x\n\n')),
      cancel: () => {
        cancelled = true;
      },
    });
    for await (const _ of readEvents(body)) break;
    expect(cancelled).toBe(true);
  });

  it('reads a body that cannot be iterated over, as in Safari', async () => {
    const body = bodyOf(bytes);
    Object.defineProperty(body, Symbol.asyncIterator, { value: undefined });
    const got: string[] = [];
    for await (const data of readEvents(body)) got.push(data);
    expect(got).toEqual(events);
  });

  it("throws the body's failure", async () => {
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new TypeError('lost')) });
    await expect(readEvents(body).next()).rejects.toThrow('lost');
  });
});
