/** Pictures by the browser's own decoders, which a worker has, too: all but SVG. */
import type { RecodePicture } from '../server/state/context.ts';

export const recodePicture: RecodePicture = async (file, maxPixels) => {
  const bitmap = await createImageBitmap(new Blob([file.slice()]), { imageOrientation: 'from-image' });
  try {
    const scale = Math.min(1, Math.sqrt(maxPixels / (bitmap.width * bitmap.height)));
    const width = Math.max(1, Math.floor(bitmap.width * scale));
    const height = Math.max(1, Math.floor(bitmap.height * scale));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    if (context === null) throw new Error('no canvas in this browser');
    // The engine knows no transparency: what shows through is white, as on a page.
    context.fillStyle = 'white';
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, 0, 0, width, height);
    return new Uint8Array(await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer());
  } finally {
    bitmap.close();
  }
};
