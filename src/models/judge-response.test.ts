import { expect, test } from 'vitest';
import { type Asked, judgeResponse } from './judge-response.ts';
import { layOutParts } from './parts-layout.ts';

/** The second of three parts of a file of 250 bytes at one URL. */
function asked(changes: Partial<Asked> = {}, sha256s?: string[]): Asked {
  const piece = { url: 'm.gguf', size: 250, ...(sha256s ? { parts: sha256s } : {}) };
  const model = {
    id: 'm',
    files: [{ name: 'm.gguf', size: 250, pieces: [piece] }],
    capabilities: [],
    contextLength: 1,
    name: 'M',
    authors: 'A',
    license: 'MIT',
  };
  const part = layOutParts(model, 'https://site.example/', 100).parts[1];
  if (part === undefined) throw new Error('no part');
  return { part, received: 0, ranged: true, withToken: false, validators: {}, ...changes };
}

const answer = (status: number, headers: Record<string, string> = {}) => new Response(null, { status, headers });
const range = (from: number, to: number, total = 250) => ({ 'Content-Range': `bytes ${from}-${to}/${total}` });

test.each<[string, Response, Partial<Asked>, 'range' | 'file']>([
  ['the range', answer(206, { ...range(100, 199), 'Content-Length': '100' }), {}, 'range'],
  ['the rest of it', answer(206, { ...range(160, 199), 'Content-Length': '40' }), { received: 60 }, 'range'],
  ['a range whose headers another origin may not see', answer(206), {}, 'range'],
  ['the whole file, of a server without Range', answer(200, { 'Content-Length': '250' }), {}, 'file'],
  ['the whole file, as it was asked for', answer(200, { 'Content-Length': '250' }), { ranged: false }, 'file'],
  ['a compressed file', answer(200, { 'Content-Length': '9', 'Content-Encoding': 'gzip' }), {}, 'file'],
])('%s is taken', (_, response, changes, sends) => {
  expect(judgeResponse(response, asked(changes))).toEqual({ sends, refusal: null });
});

test.each<[string, Response, Partial<Asked>, object, RegExp]>([
  ['a range behind the end', answer(416), { received: 10 }, { result: 'failed' }, /no byte 110: it was longer/],
  ['a lost server', answer(500), {}, { result: 'lost', after: null, busy: false }, /^HTTP 500\. Try again later/],
  ['a slow client', answer(408), {}, { result: 'lost', busy: false }, /^HTTP 408/],
  ['a busy server', answer(503), {}, { result: 'lost', busy: true }, /^HTTP 503/],
  ['too many requests', answer(429, { 'Retry-After': '7' }), {}, { result: 'lost', after: 7, busy: true }, /in 7 s/],
  ['no file', answer(404), {}, { result: 'failed' }, /^HTTP 404\. Check that the file is deployed/],
  ['a private file', answer(403), {}, { result: 'failed' }, /It may need a token/],
  [
    'a token that does not do',
    answer(403),
    { withToken: true },
    { result: 'failed' },
    /Check that the token may read it/,
  ],
  ['a web page', answer(200, { 'Content-Type': 'text/html' }), {}, { result: 'failed' }, /a web page instead of bytes/],
])('%s is nothing of the file', (_, response, changes, refusal, what) => {
  const judgement = judgeResponse(response, asked(changes));
  expect(judgement).toMatchObject({ sends: null, refusal });
  expect(judgement.refusal?.what).toMatch(what);
});

test.each<[string, Response, Partial<Asked>, 'range' | 'file', RegExp]>([
  ['another length of the file', answer(206, range(100, 199, 240)), {}, 'range', /has 240 bytes, the catalog says 250/],
  ['another range', answer(206, range(0, 99)), {}, 'range', /another range than it was asked for \(bytes 0-99\/250\)/],
  ['a short range', answer(206, { 'Content-Length': '99' }), {}, 'range', /the answer has 99 bytes.* says 100/],
  ['a long file', answer(200, { 'Content-Length': '251' }), {}, 'file', /the file has 251 bytes.* says 250/],
])('%s is damaged', (_, response, changes, sends, what) => {
  const judgement = judgeResponse(response, asked(changes));
  expect(judgement).toMatchObject({ sends, refusal: { result: 'damaged' } });
  expect(judgement.refusal?.what).toMatch(what);
});

test("the first answer's validators are kept, a weak tag excepted", () => {
  const date = 'Thu, 01 Jan 2026 00:00:00 GMT';
  const first = (headers: Record<string, string>, hashes?: string[]) =>
    judgeResponse(answer(206, headers), asked({ validators: undefined }, hashes)).validators;
  expect(first({ ETag: '"a"', 'Last-Modified': date })).toEqual({ etag: '"a"', lastModified: date });
  expect(first({ ETag: 'W/"a"' })).toEqual({});
  // Where the part has a hash, that decides.
  expect(
    first(
      { ETag: '"a"' },
      ['1', '2', '3'].map((digit) => digit.repeat(64)),
    ),
  ).toBeUndefined();
});

test.each<[string, Record<string, string>, Asked['validators'], boolean]>([
  ['the same tag', { ETag: '"a"' }, { etag: '"a"' }, true],
  ['the same tag with another date', { ETag: '"a"', 'Last-Modified': 'y' }, { etag: '"a"', lastModified: 'x' }, true],
  ['another tag', { ETag: '"b"' }, { etag: '"a"' }, false],
  ['another date', { 'Last-Modified': 'y' }, { lastModified: 'x' }, false],
  ['no tag any more', {}, { etag: '"a"' }, true],
])('a version with %s', (_, headers, validators, isTaken) => {
  const { refusal } = judgeResponse(answer(206, headers), asked({ validators }));
  if (isTaken) expect(refusal).toBeNull();
  else expect(refusal).toMatchObject({ result: 'failed', what: expect.stringMatching(/another file than the one/) });
});
