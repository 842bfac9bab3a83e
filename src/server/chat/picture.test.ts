import { describe, expect, test, vi } from 'vitest';
import { pictureFormat, readablePictures } from './picture.ts';

const bytes = (...parts: (string | number[])[]) =>
  Uint8Array.from(
    parts.flatMap((part) => (typeof part === 'string' ? Array.from(part, (c) => c.charCodeAt(0)) : part)),
  );
const uint16 = (value: number) => [value >> 8, value & 255];
const uint32 = (value: number) => [...uint16(value >>> 16), ...uint16(value & 0xffff)];

const png = (width: number, height: number) =>
  bytes('\x89PNG\r\n\x1a\n', uint32(13), 'IHDR', uint32(width), uint32(height), [8, 2, 0, 0, 0]);

/** EXIF with one entry before the orientation, in either byte order. */
function exif(orientation: number, littleEndian = false): number[] {
  const order = (value: number[]) => (littleEndian ? value.toReversed() : value);
  const entry = (tag: number, value: number) => [
    ...order(uint16(tag)),
    ...order(uint16(3)),
    ...order(uint32(1)),
    ...order(uint16(value)),
    0,
    0,
  ];
  const head = littleEndian ? [0x49, 0x49, 0x2a, 0] : [0x4d, 0x4d, 0, 0x2a];
  return [...head, ...order(uint32(8)), ...order(uint16(2)), ...entry(0x0100, 7), ...entry(0x0112, orientation)];
}

function jpeg(width: number, height: number, tiff?: number[]): Uint8Array {
  const segment = (marker: number, content: number[]) => [0xff, marker, ...uint16(content.length + 2), ...content];
  return bytes(
    [0xff, 0xd8],
    segment(0xe0, [...bytes('JFIF\0')]),
    tiff === undefined ? [] : segment(0xe1, [...bytes('Exif\0\0'), ...tiff]),
    segment(0xc4, [0, 0]),
    segment(0xc0, [8, ...uint16(height), ...uint16(width), 3]),
    segment(0xda, [0]),
  );
}

const brands = (...names: string[]) => bytes(uint32(20), 'ftyp', names[0] ?? '', uint32(0), ...names.slice(1));
const AVIF = brands('avif', 'mif1', 'miaf');
const HEIC = brands('heic', 'mif1', 'heic');

test.each([
  ['PNG', png(1, 1)],
  ['JPEG', jpeg(1, 1)],
  ['GIF', bytes('GIF89a')],
  ['BMP', bytes('BM')],
  ['WebP', bytes('RIFF', uint32(0), 'WEBPVP8 ')],
  ['TIFF', bytes('II*\0')],
  ['TIFF', bytes('MM\0*')],
  ['JPEG XL', bytes([0xff, 0x0a])],
  ['ICO', bytes([0, 0, 1, 0])],
  ['AVIF', AVIF],
  ['AVIF', brands('mif1', 'avif')],
  ['HEIC', HEIC],
  ['HEIC', brands('mif1', 'heic')],
  ['SVG', bytes('<svg xmlns="…">')],
  ['SVG', bytes('\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<!DOCTYPE svg PUBLIC "…">\n<SVG>')],
  [undefined, bytes('RIFF', uint32(0), 'WAVEfmt ')],
  [undefined, brands('M4A ', 'mp42')],
  [undefined, bytes('<html><svg>')],
  [undefined, bytes('%PDF-1.7')],
  [undefined, new Uint8Array()],
])('the format by its first bytes: %s', (format, file) => {
  expect(pictureFormat(file)).toBe(format);
});

describe('what the engine gets', () => {
  const recoded = bytes('recoded');
  const read = async (file: Uint8Array, recode: Parameters<typeof readablePictures>[2] = async () => recoded) =>
    (await readablePictures([file], 'messages', recode))[0];
  const unable = () => Promise.reject(new Error('InvalidStateError'));

  test.each([
    ['a PNG', png(4000, 4000)],
    ['a JPEG', jpeg(4000, 4000)],
    ['one that says that it is upright', jpeg(4000, 3000, exif(1))],
    ['one whose EXIF is nonsense', jpeg(4000, 3000, [0x4d, 0x4d, 0, 0x2a, 0xff, 0xff, 0xff, 0xff])],
    ['one that is cut off', jpeg(4000, 3000, exif(1)).subarray(0, 9)],
    ['a sound', bytes('RIFF', uint32(0), 'WAVEfmt ')],
    ['noise', bytes('noise')],
  ])('%s: the bytes as they came', async (_, file) => {
    const recode = vi.fn(unable);
    expect(await read(file, recode)).toBe(file);
    expect(recode).not.toHaveBeenCalled();
  });

  test.each([
    ['WebP', bytes('RIFF', uint32(0), 'WEBPVP8 ')],
    ['AVIF', AVIF],
    ['a turned JPEG', jpeg(4000, 3000, exif(6))],
    ['the other byte order', jpeg(4000, 3000, exif(8, true))],
    ['a huge JPEG', jpeg(8000, 6000)],
    ['a huge PNG', png(20_000, 20_000)],
  ])('%s: recoded, with a bound', async (_, file) => {
    const recode = vi.fn(async () => recoded);
    expect(await read(file, recode)).toBe(recoded);
    expect(recode).toHaveBeenCalledWith(file, 4 * 1024 * 1024);
  });

  test('what the browser can’t decode is named', async () => {
    const message = "The picture is HEIC, which this browser can't decode. Send it as PNG, JPEG or WebP.";
    const refused = (field: string) => ({ message, type: 'invalid_request_error', details: { param: field } });
    await expect(read(HEIC, unable)).rejects.toMatchObject(refused('messages'));
    await expect(readablePictures([HEIC], 'prompt', undefined)).rejects.toMatchObject(refused('prompt'));
  });

  test('an SVG is refused with a remedy, without a try', async () => {
    const recode = vi.fn(unable);
    await expect(read(bytes('<svg>'), recode)).rejects.toThrow(/SVG.*canvas\.toDataURL\('image\/png'\)/);
    expect(recode).not.toHaveBeenCalled();
  });

  test('a damaged JPEG is the engine’s to refuse', async () => {
    const file = jpeg(8000, 6000);
    expect(await read(file, unable)).toBe(file);
  });
});
