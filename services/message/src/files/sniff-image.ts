import { fileTypeFromBuffer } from 'file-type'

/** So many bytes of a file's begin tell what it is. */
export const sniffedBytes = 4100

/** What counts as an image, with the extension it is stored with. */
const images: Readonly<Record<string, string>> = {
  jpg: 'jpg',
  png: 'png',
  apng: 'png',
  gif: 'gif',
  webp: 'webp',
  bmp: 'bmp',
  heic: 'heic',
}

/** The extension of an image by its first bytes; undefined when they are none. */
export async function sniffImage(head: Uint8Array): Promise<string | undefined> {
  const type = await fileTypeFromBuffer(head).catch(() => undefined)
  return type && Object.hasOwn(images, type.ext) ? images[type.ext] : undefined
}
