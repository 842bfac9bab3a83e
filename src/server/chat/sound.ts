/** Converts sounds for the engine, which reads WAV, MP3 and FLAC: the browser decodes whatever else it can play. */
import type { DecodeAudio } from '../state/context.ts';
import type { Medium } from './media.ts';

/**
 * The sound in a format that the engine reads. A file that the browser can't decode either stays as it is, and the engine
 * refuses it with llama-server's message.
 * @param sampleRate The model's, in samples a second.
 * @param decode The browser's decoder; undefined outside a browser.
 */
export async function readableSound(
  file: Uint8Array,
  sampleRate: number,
  decode: DecodeAudio | undefined,
): Promise<Uint8Array> {
  if (decode === undefined || isReadable(file)) return file;
  try {
    return encodeWav(await decode(file, sampleRate), sampleRate);
  } catch {
    return file;
  }
}

/** Does the same for those of a chat's media that are sounds. */
export function readableSounds(
  media: readonly Medium[],
  files: Uint8Array[],
  sampleRate: number,
  decode: DecodeAudio | undefined,
): Promise<Uint8Array[]> {
  return Promise.all(
    files.map((file, i) => (media[i]?.kind === 'audio' ? readableSound(file, sampleRate, decode) : file)),
  );
}

/** llama.cpp's own test, except that it takes AAC's frames for MP3's. */
function isReadable(file: Uint8Array): boolean {
  const text = (from: number, to: number) => String.fromCharCode(...file.subarray(from, to));
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WAVE') return true;
  if (text(0, 3) === 'ID3' || text(0, 4) === 'fLaC') return true;
  const [first = 0, second = 0] = file;
  const isFrame = first === 0xff && (second & 0xe0) === 0xe0;
  return isFrame && (second & LAYER) !== AAC_LAYER;
}

/** Bits of a frame's second byte, which are zero in AAC's ADTS frames. */
const LAYER = 0b110;
const AAC_LAYER = 0;

const WAV_HEADER_BYTES = 44;

/** One channel of 16-bit samples. */
export function encodeWav(samples: Float32Array, sampleRate: number): Uint8Array<ArrayBuffer> {
  const pcm = encodePcm16(samples);
  const view = new DataView(new ArrayBuffer(WAV_HEADER_BYTES));
  const text = (at: number, characters: string) => {
    for (const [i, character] of [...characters].entries()) view.setUint8(at + i, character.charCodeAt(0));
  };
  text(0, 'RIFF');
  view.setUint32(4, WAV_HEADER_BYTES - 8 + pcm.length, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  // PCM, one channel; bytes a second, bytes and bits a sample.
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, pcm.length, true);
  const wav = new Uint8Array(WAV_HEADER_BYTES + pcm.length);
  wav.set(new Uint8Array(view.buffer));
  wav.set(pcm, WAV_HEADER_BYTES);
  return wav;
}

/** 16-bit little-endian integers, OpenAI's `pcm`. */
export function encodePcm16(samples: Float32Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  for (const [i, sample] of samples.entries()) {
    view.setInt16(i * 2, Math.round(Math.max(-1, Math.min(1, sample)) * 0x7fff), true);
  }
  return new Uint8Array(view.buffer);
}
