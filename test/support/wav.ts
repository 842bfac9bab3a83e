export const WAV_RATE = 16_000;

/** A second of a tone: WAV, one channel, 16 bits. */
export function toneWav(hertz: number): Buffer {
  const wav = Buffer.alloc(44 + 2 * WAV_RATE);
  wav.write('RIFF', 0);
  wav.writeUInt32LE(36 + 2 * WAV_RATE, 4);
  wav.write('WAVEfmt ', 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(WAV_RATE, 24);
  wav.writeUInt32LE(2 * WAV_RATE, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36);
  wav.writeUInt32LE(2 * WAV_RATE, 40);
  for (let i = 0; i < WAV_RATE; i++)
    wav.writeInt16LE(Math.sin((2 * Math.PI * hertz * i) / WAV_RATE) * 16_000, 44 + 2 * i);
  return wav;
}
