/** Decodes sounds for this page's engine worker: browsers offer their decoder of audio files to pages only. */
import { transfer } from 'comlink';
import type { EnginePage } from '../protocol.ts';

export const decodeAudio: EnginePage['decodeAudio'] = async (file, sampleRate) => {
  // Only its sample rate matters, to which `decodeAudioData` resamples: nothing is rendered.
  const context = new OfflineAudioContext({ numberOfChannels: 1, length: 1, sampleRate });
  const sound = await context.decodeAudioData(file);
  const samples = mix(Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel)));
  return transfer(samples, [samples.buffer]);
};

/** Mixes all channels down to one, as llama.cpp's own decoder does. */
export function mix([first = new Float32Array(), ...others]: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const share = 1 / (others.length + 1);
  return Float32Array.from(first, (sample, i) =>
    others.reduce((sum, channel) => sum + (channel[i] ?? 0) * share, sample * share),
  );
}
