/** The lists of an upload's answer. */
export type FileKind = 'images' | 'audios' | 'videos' | 'others'

/** What is shown where it stands. Everything else is downloaded, whatever a client called it (spec 12-files.md). */
const known: Readonly<Record<string, readonly [FileKind, string]>> = {
  jpg: ['images', 'image/jpeg'],
  jpeg: ['images', 'image/jpeg'],
  png: ['images', 'image/png'],
  gif: ['images', 'image/gif'],
  bmp: ['images', 'image/bmp'],
  webp: ['images', 'image/webp'],
  heic: ['images', 'image/heic'],
  mp3: ['audios', 'audio/mpeg'],
  amr: ['audios', 'audio/amr'],
  wav: ['audios', 'audio/wav'],
  aac: ['audios', 'audio/aac'],
  m4a: ['audios', 'audio/mp4'],
  mp4: ['videos', 'video/mp4'],
  mov: ['videos', 'video/quicktime'],
  avi: ['videos', 'video/x-msvideo'],
  mkv: ['videos', 'video/x-matroska'],
  '3gp': ['videos', 'video/3gpp'],
}

const kindOf = (extension: string): FileKind => (Object.hasOwn(known, extension) ? known[extension]![0] : 'others')

/** The content type of a stored file; undefined: it is downloaded and not shown. */
export const contentTypeOf = (extension: string): string | undefined =>
  Object.hasOwn(known, extension) ? known[extension]![1] : undefined

/** In lower case, '' when there is none that can stand in an address. */
export const extensionOf = (name: string): string => /\.([a-z0-9]{1,10})$/.exec(name.toLowerCase())?.[1] ?? ''

/**
 * The list a file belongs to and the extension it is stored with, by the extension of its name. An image is what its first bytes say:
 * `image` is the extension that belongs to them, undefined when they are no image. A file that only calls itself an image is none.
 */
export function classify(name: string, image: string | undefined): { kind: FileKind; extension: string } {
  const extension = extensionOf(name)
  const kind = kindOf(extension)
  if (image !== undefined && (kind === 'images' || extension === '')) return { kind: 'images', extension: image }
  if (kind === 'images' || extension === '') return { kind: 'others', extension: 'bin' }
  return { kind, extension }
}
