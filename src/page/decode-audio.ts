/** Decodes sounds for this page's engine worker: browsers keep their decoder for files from workers. */
import { transfer } from 'comlink';
import type { EnginePage } from '../protocol.ts';

export const decodeAudio: EnginePage['decodeAudio'] = async (file, sampleRate) => {
  // Of any length: what is decoded has its own. The rate is that to which the browser resamples.
  const context = new OfflineAudioContext({ numberOfChannels: 1, length: 1, sampleRate });
  const sound = await context.decodeAudioData(file);
  const samples = mix(Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel)));
  return transfer(samples, [samples.buffer]);
};

/** One channel: the mean of all, as llama.cpp's own decoder does it. */
export function mix([first = new Float32Array(), ...others]: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const share = 1 / (others.length + 1);
  return Float32Array.from(first, (sample, i) =>
    others.reduce((sum, channel) => sum + (channel[i] ?? 0) * share, sample * share),
  );
}
