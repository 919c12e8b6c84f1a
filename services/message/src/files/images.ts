import { stat } from 'node:fs/promises'
import { ContractError } from '@im/contracts'
import PQueue from 'p-queue'

/** Pixels of an image that is decoded. A larger one is refused by the size that its head tells. */
const mostPixels = 50_000_000
/** Seconds that work on one image may take. */
const longest = 10
/** Images that wait. More are not taken. */
const mostWaiting = 500
/** Longest sides. */
const sides = { thumbnail: 300, avatar: 1280, small: 200 }

/** What is decoded, by the extension that belongs to the content. Others (bmp, heic) are kept as they are. */
const decoded: ReadonlySet<string> = new Set(['jpg', 'png', 'gif', 'webp'])
const loaders = ['Jpeg', 'Png', 'Webp', 'Nsgif'].map((name) => `VipsForeignLoad${name}`)

type Sharp = typeof import('sharp')

/**
 * Makes small images and avatars: JPEG, the right way up, without any metadata. One image at a time on a thread of its own, so that
 * however many come at once, other calls are answered. Each user has one image in the queue, so nobody fills it.
 */
export class Images {
  readonly #queue = new PQueue({ concurrency: 1 })
  readonly #last = new Map<number, Promise<unknown>>()
  #sharp: Promise<Sharp> | undefined

  /** Writes the thumbnail of an image. False when none can be made of it, or too many images wait. */
  async thumbnail(user: number, image: LocalImage, to: string): Promise<boolean> {
    if (!decoded.has(image.extension) || this.#isFull) return false
    const made = this.#inTurn(user, async () => {
      const { thumbnail: side } = sides
      const small = (await this.#read(image)).resize(side, side, { fit: 'inside', withoutEnlargement: true })
      await small.jpeg({ quality: 80 }).toFile(to)
      return true
    })
    return await made.catch((error: unknown) => {
      if (isRefused(error)) return false
      throw error
    })
  }

  /** Writes an avatar in two sizes. Throws FileTypeNotAllowed when the image cannot be decoded. */
  async avatar(user: number, image: LocalImage, to: { o: string; t: string }): Promise<void> {
    if (!decoded.has(image.extension)) throw new ContractError('FileTypeNotAllowed', { detail: image.extension })
    if (this.#isFull) throw new ContractError('ServiceUnavailable', { retryAfter: 5 })
    await this.#inTurn(user, async () => {
      const { avatar, small } = sides
      const whole = (await this.#read(image)).resize(avatar, avatar, { fit: 'inside', withoutEnlargement: true })
      await whole.jpeg({ quality: 85 }).toFile(to.o)
      const thumbnail = (await this.#open(to.o)).resize(small, small, { fit: 'cover' })
      await thumbnail.jpeg({ quality: 80 }).toFile(to.t)
    }).catch((error: unknown) => {
      if (isRefused(error))
        throw new ContractError('FileTypeNotAllowed', { detail: 'the image cannot be read', cause: error })
      throw error
    })
  }

  get waiting(): number {
    return this.#queue.size
  }

  get #isFull(): boolean {
    return this.#queue.size >= mostWaiting
  }

  #inTurn<T>(user: number, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(user) ?? Promise.resolve()
    const done = before.then(() => this.#queue.add(work)) as Promise<T>
    const settled = done.then(
      () => {},
      () => {},
    )
    this.#last.set(user, settled)
    void settled.then(() => {
      if (this.#last.get(user) === settled) this.#last.delete(user)
    })
    return done
  }

  async #read({ path }: LocalImage) {
    const image = await this.#open(path)
    const { width = 0, height = 0 } = await image.metadata()
    if (width * height > mostPixels || width * height === 0) throw new ImageTooLargeError(width, height)
    return image.autoOrient().flatten({ background: '#ffffff' })
  }

  async #open(path: string) {
    this.#sharp ??= loadSharp()
    const sharp = await this.#sharp
    return sharp
      .default(path, { limitInputPixels: mostPixels, failOn: 'error', pages: 1 })
      .timeout({ seconds: longest })
  }
}

export interface LocalImage {
  path: string
  /** By its content. */
  extension: string
}

class ImageTooLargeError extends Error {
  constructor(width: number, height: number) {
    super(`${width} × ${height} pixels`)
  }
}

/** libvips throws plain errors for what it cannot read; those of the disk have a code. */
const isRefused = (error: unknown) => error instanceof Error && (error as NodeJS.ErrnoException).code === undefined

/** Loaded at the first image, because it takes memory. It can read nothing but what we take for images. */
async function loadSharp(): Promise<Sharp> {
  const sharp = await import('sharp')
  sharp.default.cache(false)
  sharp.default.concurrency(1)
  sharp.default.block({ operation: ['VipsForeignLoad'] })
  sharp.default.unblock({ operation: loaders })
  return sharp
}

export const bytesOf = async (path: string) => (await stat(path)).size
