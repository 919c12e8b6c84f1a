import { open as openFile, readFile } from 'node:fs/promises'
import decodeHeic from 'heic-decode'
import sharp, { type Sharp } from 'sharp'
import { scansOf } from './jpeg-scans.ts'

/** One piece of work on an image. Nothing of it comes from a client but the content of the file. */
export interface ImageJob {
  /** `check`: only its size is looked at. */
  kind: 'check' | 'thumbnail' | 'avatar'
  path: string
  /** By its content. */
  extension: string
  /** Where the JPEGs go: `o` is the large one, which only avatars have. */
  to: { o?: string; t?: string }
}

/** An image declares more pixels than any phone takes: whoever decodes it runs out of memory. */
export class TooManyPixelsError extends Error {}

/** Pixels of an image that is kept, though nothing is made of it. */
const mostKept = 250_000_000

/** Pixels of an image that is decoded, by who decodes it. A larger one is refused by the size that its head tells. */
const mostPixels = { libvips: 50_000_000, others: 25_000_000 }
/** Pixels times scans of a JPEG: what its head does not tell, and what no step of libvips can be interrupted at. */
const mostScanned = 1_500_000_000
/** Bytes of a file that is read into memory. */
const mostBytes = 100 * 1024 * 1024
/** Seconds that libvips may take for one step. */
const longest = 15
/** Longest sides. */
const sides = { thumbnail: 300, avatar: 1280, small: 200 }

const loaders = ['Jpeg', 'Png', 'Webp', 'Nsgif'].map((name) => `VipsForeignLoad${name}`)

/** libvips reads nothing but what we take for images, in one thread, and remembers nothing. */
export function limitImageLibrary(): void {
  sharp.cache(false)
  sharp.concurrency(1)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: loaders })
}

/** Makes JPEGs of an image, the right way up and without any metadata. Throws when it cannot be decoded. */
export async function makeImages({ kind, path, extension, to }: ImageJob): Promise<void> {
  const { thumbnail, avatar, small } = sides
  const size = await declaredSize(path, extension)
  if (size.width * size.height > mostKept) throw new TooManyPixelsError(`${size.width} × ${size.height} pixels`)
  if (kind === 'check' || to.t === undefined) return
  const image = await upright(path, extension, size)
  if (kind === 'thumbnail' || to.o === undefined) {
    await fitted(image, thumbnail).jpeg({ quality: 80 }).toFile(to.t)
    return
  }
  await fitted(image, avatar).jpeg({ quality: 85 }).toFile(to.o)
  await open(to.o).resize(small, small, { fit: 'cover' }).jpeg({ quality: 80 }).toFile(to.t)
}

const fitted = (image: Sharp, side: number) =>
  image.resize(side, side, { fit: 'inside', withoutEnlargement: true }).timeout({ seconds: longest })

const open = (path: string) => sharp(path, { limitInputPixels: mostPixels.libvips, failOn: 'error', pages: 1 })

interface Size {
  width: number
  height: number
}

/** As the head of the file tells it. */
async function declaredSize(path: string, extension: string): Promise<Size> {
  if (extension === 'heic') return await withHeic(path, async ({ width, height }) => ({ width, height }))
  if (extension === 'png') {
    const size = await pngSize(path)
    if (size) return size
  }
  if (extension !== 'bmp') return await sharp(path, { limitInputPixels: false }).metadata()
  const file = await readWhole(path)
  if (file.length < 30) throw new RangeError('no head')
  return { width: file.readUInt32LE(18), height: Math.abs(file.readInt32LE(22)) }
}

/** libpng reads nothing of an image that declares more than a million pixels a side. Undefined: the head is not the first chunk. */
async function pngSize(path: string): Promise<Size | undefined> {
  await using file = await openFile(path)
  const { buffer: head, bytesRead } = await file.read(Buffer.alloc(24))
  if (bytesRead < head.length || head.toString('latin1', 12, 16) !== 'IHDR') return undefined
  return { width: head.readUInt32BE(16), height: head.readUInt32BE(20) }
}

async function upright(path: string, extension: string, { width, height }: Size): Promise<Sharp> {
  const isRead = extension === 'bmp' || extension === 'heic'
  demandSize(width, height, isRead ? mostPixels.others : mostPixels.libvips)
  if (isRead) {
    const { data, ...raw } = await (extension === 'bmp' ? readBmp(path) : readHeic(path))
    return sharp(data, { raw: { ...raw, channels: 4 } }).removeAlpha()
  }
  if (extension === 'jpg') await demandFewScans(path, width * height)
  return open(path).autoOrient().flatten({ background: '#ffffff' })
}

type Pixels = Size & { data: Uint8Array }

/** libvips is built without a reader of BMP. */
async function readBmp(path: string): Promise<Pixels> {
  const { decode } = await import('bmp-ts')
  const { data, width, height } = decode(await readWhole(path), { toRGBA: true })
  return { data, width, height: Math.abs(height) }
}

/** libheif turns images the right way up by itself. Its memory is bounded by the flags of the process. */
function readHeic(path: string): Promise<Pixels> {
  return withHeic(path, async (image) => {
    const { data, width, height } = await image.decode()
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), width, height }
  })
}

type HeicImage = Awaited<ReturnType<typeof decodeHeic.all>>[number]

async function withHeic<T>(path: string, work: (image: HeicImage) => Promise<T>): Promise<T> {
  const images = await decodeHeic.all({ buffer: await readWhole(path) })
  try {
    const [first] = images
    if (!first) throw new RangeError('no image')
    return await work(first)
  } finally {
    images.dispose()
  }
}

async function readWhole(path: string): Promise<Buffer> {
  const file = await readFile(path)
  if (file.length > mostBytes) throw new RangeError(`${file.length} bytes`)
  return file
}

async function demandFewScans(path: string, pixels: number): Promise<void> {
  const scans = scansOf(await readWhole(path))
  if (scans * pixels > mostScanned) throw new RangeError(`${scans} scans of ${pixels} pixels`)
}

function demandSize(width: number, height: number, most: number): void {
  if (!(width > 0 && height > 0 && width * height <= most)) throw new RangeError(`${width} × ${height} pixels`)
}
