import { expect, test } from 'vitest';
import { Scope } from '../http/scope.ts';
import { MAX_FORM_BYTES, readForm } from './form.ts';

const post = (body: BodyInit, headers?: HeadersInit) =>
  new Scope(new Request('https://site/', { method: 'POST', body, ...(headers === undefined ? {} : { headers }) }));

test('texts, those of one name together, and files', async () => {
  const form = new FormData();
  form.append('model', 'a');
  form.append('include[]', 'b');
  form.append('include[]', 'c');
  form.append('__proto__', 'd');
  form.append('file', new File(['sound'], 'a.wav'));
  const { fields, files } = await readForm(post(form));
  expect(Object.entries(fields)).toEqual([
    ['model', 'a'],
    ['include[]', ['b', 'c']],
  ]);
  expect(await files.get('file')?.text()).toBe('sound');
  expect(files.get('file')?.name).toBe('a.wav');
});

test('JSON is a form without files', async () => {
  const { fields, files } = await readForm(post('{"model":"a"}', { 'Content-Type': 'application/json' }));
  expect([fields, files.size]).toEqual([{ model: 'a' }, 0]);
  await expect(readForm(post('model=a'))).rejects.toMatchObject({ type: 'server_error' });
});

test.each([
  ['multipart/form-data', 'no boundary'],
  ['multipart/form-data; boundary=x', 'nothing of the kind'],
])('%s, %s', async (type, body) => {
  await expect(readForm(post(body, { 'Content-Type': type }))).rejects.toMatchObject({
    type: 'invalid_request_error',
    message: expect.stringContaining("can't be read as multipart/form-data"),
  });
});

test('too long', async () => {
  const type = { 'Content-Type': 'multipart/form-data; boundary=x' };
  await expect(readForm(post(new Uint8Array(MAX_FORM_BYTES + 1), type))).rejects.toMatchObject({
    type: 'invalid_request_error',
    message: expect.stringMatching(/^The request body has 67108865 bytes; the limit is 67108864\. Send a shorter/),
  });
});
