/** Pictures for a model that sees. */

/** Pixels of the longer side. Projectors scale to less than this, and it keeps a chat's record small. */
const MAX_SIDE = 1024;

/** The files among those that were dropped or pasted that are pictures. */
export function picturesOf(data: DataTransfer | null): File[] {
  return [...(data?.files ?? [])].filter(({ type }) => type.startsWith('image/'));
}

/**
 * A picture as a data URL, upright, in a format that every engine reads.
 * @throws Error that names the file, if the browser can't decode it
 */
export async function toDataUrl(file: File): Promise<string> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`This browser can’t read ${file.name || 'this picture'}: choose a PNG or a JPEG.`);
  }
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  // What is drawn has few colours and hard edges; photos come as JPEG already.
  return file.type === 'image/png' ? canvas.toDataURL('image/png') : canvas.toDataURL('image/jpeg', 0.9);
}
