import { stat } from 'node:fs/promises'
import { ContractError } from '@im/contracts'
import { type Logger, upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import PQueue from 'p-queue'
import type { ImageJob } from './image-jobs.ts'
import { ImageProcess, ImageRefusedError } from './image-process.ts'

/** Images that wait. More are not taken. */
const mostWaiting = 500
/** After this time (ms) half of what images of a user took is forgotten. */
const halfForgottenAfter = 60_000

/**
 * Makes small images and avatars: JPEG, the right way up, without any metadata. One image at a time, so that however many come at
 * once, other calls are answered. Each user has one image in the queue, and whose images took the least time lately comes first: so
 * nobody fills it, and images that take long keep few waiting but those who sent them.
 */
export class Images {
  readonly #queue = new PQueue({ concurrency: 1 })
  readonly #last = new Map<number, Promise<unknown>>()
  /** What images of users took (ms), as of a moment. */
  readonly #spent = new LRUCache<number, { ms: number; at: number }>(upTo(10_000))
  readonly #process: ImageProcess

  constructor(log: Logger) {
    this.#process = new ImageProcess(log)
  }

  /**
   * Writes the thumbnail of an image. False when none can be made of it, or too many images wait. Throws FileTypeNotAllowed when the
   * image declares more pixels than anybody can decode.
   */
  async thumbnail(user: number, image: LocalImage, to: string): Promise<boolean> {
    return await this.#tryJob(user, { ...image, kind: 'thumbnail', to: { t: to } })
  }

  /** Looks at the size of an image that is shown to nobody as one. Throws as `thumbnail` does. */
  async check(user: number, image: LocalImage): Promise<void> {
    await this.#tryJob(user, { ...image, kind: 'check', to: {} })
  }

  /** Writes an avatar in two sizes. Throws FileTypeNotAllowed when the image cannot be decoded. */
  async avatar(user: number, { path, extension }: LocalImage, to: { o: string; t: string }): Promise<void> {
    if (this.#isFull) throw new ContractError('ServiceUnavailable', { retryAfter: 5 })
    try {
      await this.#inTurn(user, () => this.#process.run({ kind: 'avatar', path, extension, to }))
    } catch (error) {
      if (error instanceof ImageRefusedError)
        throw new ContractError('FileTypeNotAllowed', { detail: 'the image cannot be read', cause: error })
      throw error
    }
  }

  get waiting(): number {
    return this.#queue.size
  }

  close(): Promise<void> {
    return this.#process.close()
  }

  /** False when it could not be done. */
  async #tryJob(user: number, job: ImageJob): Promise<boolean> {
    if (this.#isFull) return false
    try {
      await this.#inTurn(user, () => this.#process.run(job))
      return true
    } catch (error) {
      if (!(error instanceof ImageRefusedError)) throw error
      if (error.hasTooManyPixels)
        throw new ContractError('FileTypeNotAllowed', { detail: 'the image has too many pixels', cause: error })
      return false
    }
  }

  get #isFull(): boolean {
    return this.#queue.size >= mostWaiting
  }

  #inTurn<T>(user: number, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(user) ?? Promise.resolve()
    const done = before.then(() => this.#queue.add(() => this.#timed(user, work), { priority: -this.#spentBy(user) }))
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

  async #timed<T>(user: number, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now()
    try {
      return await work()
    } finally {
      const at = performance.now()
      this.#spent.set(user, { ms: this.#spentBy(user) + at - startedAt, at })
    }
  }

  #spentBy(user: number): number {
    const { ms = 0, at = 0 } = this.#spent.get(user) ?? {}
    return ms * 2 ** ((at - performance.now()) / halfForgottenAfter)
  }
}

export interface LocalImage {
  path: string
  /** By its content. */
  extension: string
}

export const bytesOf = async (path: string) => (await stat(path)).size
