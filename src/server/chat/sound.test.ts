import { expect, test, vi } from 'vitest';
import { encodePcm16, encodeWav, readableSound } from './sound.ts';

const bytes = (text: string, ...more: number[]) => Uint8Array.from([...new TextEncoder().encode(text), ...more]);

test.each([
  ['WAV', bytes('RIFF....WAVEfmt ')],
  ['MP3 with a tag', bytes('ID3.')],
  ['MP3', Uint8Array.of(0xff, 0xfb, 0x90, 0)],
  ['FLAC', bytes('fLaC')],
])('%s is the engine’s to read', async (_, file) => {
  const decode = vi.fn();
  expect(await readableSound(file, 16_000, decode)).toBe(file);
  expect(decode).not.toHaveBeenCalled();
});

test.each([
  ['Ogg', bytes('OggS')],
  ['WebM', Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3)],
  ['MP4', bytes('....ftypM4A ')],
  ['AAC in ADTS', Uint8Array.of(0xff, 0xf1, 0x50, 0x80)],
  ['another RIFF', bytes('RIFF....AVI LIST')],
  ['nothing', new Uint8Array()],
])('%s is the browser’s', async (_, file) => {
  const decode = vi.fn(async () => Float32Array.of(0, 1, -1));
  const wav = await readableSound(file, 16_000, decode);
  expect(decode).toHaveBeenCalledWith(file, 16_000);
  expect(wav).toEqual(encodeWav(Float32Array.of(0, 1, -1), 16_000));
});

test('what the browser can’t decode, or where there is none, is the engine’s to refuse', async () => {
  const file = bytes('OggS');
  expect(await readableSound(file, 16_000, () => Promise.reject(new Error('no')))).toBe(file);
  expect(await readableSound(file, 16_000, undefined)).toBe(file);
});

test('a WAV file', () => {
  const wav = encodeWav(Float32Array.of(0, 0.5), 24_000);
  const view = new DataView(wav.buffer);
  const text = (from: number, to: number) => new TextDecoder().decode(wav.subarray(from, to));
  expect([text(0, 4), text(8, 16), text(36, 40)]).toEqual(['RIFF', 'WAVEfmt ', 'data']);
  expect([view.getUint32(4, true), view.getUint32(40, true), wav.length]).toEqual([40, 4, 48]);
  expect([view.getUint16(22, true), view.getUint32(24, true), view.getUint32(28, true)]).toEqual([1, 24_000, 48_000]);
  expect([view.getInt16(44, true), view.getInt16(46, true)]).toEqual([0, 16_384]);
});

test('samples beyond the range are clipped', () => {
  const view = new DataView(encodePcm16(Float32Array.of(2, -2, 1, -1)).buffer);
  expect([0, 2, 4, 6].map((at) => view.getInt16(at, true))).toEqual([32767, -32767, 32767, -32767]);
});
