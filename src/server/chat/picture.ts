/**
 * Pictures on their way to the engine, which reads what stb_image does: PNG, JPEG, GIF, BMP. A browser reads more, turns a
 * photo as its camera was held, and makes a huge one smaller: so it recodes what needs it.
 */
import { invalid } from '../../errors.ts';
import type { RecodePicture } from '../state/context.ts';

/** Of a picture that the engine decodes itself: three bytes each, twice, in a heap of at most 4 GiB. A phone's photo has 12 to 50 million. */
const MAX_DECODED_PIXELS = 2 ** 25;

/** Of a recoded one: more than any model looks at, which is some 3 million. */
const MAX_RECODED_PIXELS = 2 ** 22;

/** @param field Of the request, for errors. @throws LlamatabError 400 naming a format that can't be read, and what to send instead. */
export async function readablePictures(
  files: readonly Uint8Array[],
  field: string,
  recode: RecodePicture | undefined,
): Promise<Uint8Array[]> {
  return Promise.all(files.map((file) => readablePicture(file, field, recode)));
}

async function readablePicture(
  file: Uint8Array,
  field: string,
  recode: RecodePicture | undefined,
): Promise<Uint8Array> {
  const format = pictureFormat(file);
  // A sound; or no picture, which the engine says in llama-server's words.
  if (format === undefined) return file;
  const isReadable = ENGINE_READS.includes(format);
  if (isReadable && (recode === undefined || !needsRecoding(file, format))) return file;
  if (format === 'SVG') {
    throw invalid(
      field,
      "The picture is an SVG, which a browser can't draw in a worker. Draw it to a canvas in the page, and send canvas.toDataURL('image/png').",
    );
  }
  try {
    if (recode !== undefined) return await recode(file, MAX_RECODED_PIXELS);
  } catch {
    // It may be damaged, but that is for the engine to say.
    if (isReadable) return file;
  }
  throw invalid(field, `The picture is ${format}, which this browser can't decode. Send it as PNG, JPEG or WebP.`);
}

const ENGINE_READS = ['PNG', 'JPEG', 'GIF', 'BMP'];

function needsRecoding(file: Uint8Array, format: string): boolean {
  const { pixels, isTurned } =
    format === 'JPEG' ? readJpeg(file) : { pixels: pixelsOfPng(file, format), isTurned: false };
  return isTurned || pixels > MAX_DECODED_PIXELS;
}

/** By its first bytes; undefined for what is no picture. */
export function pictureFormat(file: Uint8Array): string | undefined {
  const text = (from: number, to: number) => String.fromCharCode(...file.subarray(from, to));
  for (const [at, magic, format] of MAGIC) if (text(at, at + magic.length) === magic) return format;
  if (text(4, 8) === 'ftyp') return formatOfBrands(text(8, 12), text(16, 16 + 4 * MAX_BRANDS));
  return /^(\ufeff|\u00ef\u00bb\u00bf)?\s*(<\?xml[\s\S]*?)?(<!--[\s\S]*?-->\s*|<!DOCTYPE[\s\S]*?>\s*)*<svg[\s>]/i.test(
    text(0, SVG_HEAD),
  )
    ? 'SVG'
    : undefined;
}

const MAGIC: [at: number, magic: string, format: string][] = [
  [0, '\x89PNG\r\n\x1a\n', 'PNG'],
  [0, '\xff\xd8\xff', 'JPEG'],
  [0, 'GIF8', 'GIF'],
  [0, 'BM', 'BMP'],
  [8, 'WEBP', 'WebP'],
  [0, 'II*\0', 'TIFF'],
  [0, 'MM\0*', 'TIFF'],
  [0, '\xff\x0a', 'JPEG XL'],
  [0, '\0\0\0\x0cJXL ', 'JPEG XL'],
  [0, '\0\0\0\x0cjP  ', 'JPEG 2000'],
  [0, '\0\0\x01\0', 'ICO'],
];

/** Characters in which an SVG has to begin. */
const SVG_HEAD = 1024;
/** That are looked at. Files have three or four. */
const MAX_BRANDS = 8;

/** Of the container that AVIF and HEIC share with video and music. */
function formatOfBrands(major: string, compatible: string): string | undefined {
  const brands = [major, ...(compatible.match(/[\s\S]{4}/g) ?? [])];
  if (brands.some((brand) => /^avi[fs]$/.test(brand))) return 'AVIF';
  return /^(he[iv][cmsx]|hevc|mif1|msf1)$/.test(major) ? 'HEIC' : undefined;
}

/** 0 for what is no PNG: the others are never huge. */
function pixelsOfPng(file: Uint8Array, format: string): number {
  if (format !== 'PNG' || file.byteLength < 24) return 0;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  return view.getUint32(16) * view.getUint32(20);
}

const EXIF = [0x45, 0x78, 0x69, 0x66, 0, 0];
const ORIENTATION_TAG = 0x0112;

/** What a JPEG's segments say. One that is cut off says what it said so far. */
function readJpeg(file: Uint8Array): { pixels: number; isTurned: boolean } {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let isTurned = false;
  for (let at = 2; at + 9 <= file.length && file[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const marker = file[at + 1] ?? 0;
    if (marker === 0xe1 && EXIF.every((byte, i) => file[at + 4 + i] === byte)) {
      isTurned = orientationOf(file.subarray(at + 10, at + 2 + view.getUint16(at + 2))) > 1;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { pixels: view.getUint16(at + 5) * view.getUint16(at + 7), isTurned };
    if (marker === 0xda) break;
  }
  return { pixels: 0, isTurned };
}

/** EXIF's `Orientation`, 1 to 8: 1, also where there is none, is upright. @param tiff From its byte order mark on. */
function orientationOf(tiff: Uint8Array): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  try {
    const littleEndian = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, littleEndian);
    const entries = view.getUint16(directory, littleEndian);
    for (let entry = directory + 2; entry < directory + 2 + 12 * entries; entry += 12) {
      if (view.getUint16(entry, littleEndian) === ORIENTATION_TAG) return view.getUint16(entry + 8, littleEndian);
    }
  } catch {
    // It points beyond its end.
  }
  return 1;
}
