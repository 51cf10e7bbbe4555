/**
 * A sound as a WAV file: samples in [-1, 1], one channel, 16 bits each; what lies beyond is cut off. The header is that of
 * RIFF with PCM, 44 bytes (IBM and Microsoft 1991: "Multimedia Programming Interface and Data Specifications 1.0").
 */
export function wavFile(samples: Float32Array, rate: number): Uint8Array {
  const bytesOfData = 2 * samples.length;
  const view = new DataView(new ArrayBuffer(44 + bytesOfData));
  const word = (at: number, text: string) => {
    for (let i = 0; i < text.length; i++) view.setUint8(at + i, text.charCodeAt(i));
  };
  word(0, 'RIFF');
  view.setUint32(4, 36 + bytesOfData, true);
  word(8, 'WAVE');
  word(12, 'fmt ');
  view.setUint32(16, 16, true); // bytes of the format
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); // bytes of a second
  view.setUint16(32, 2, true); // bytes of a sample, all channels
  view.setUint16(34, 16, true); // bits of a sample
  word(36, 'data');
  view.setUint32(40, bytesOfData, true);
  for (const [i, sample] of samples.entries())
    view.setInt16(44 + 2 * i, Math.round(32767 * Math.min(Math.max(sample, -1), 1)), true);
  return new Uint8Array(view.buffer);
}
