import { randomBytes } from 'node:crypto'
import { access, constants, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Closable, Logger } from '@im/service-kit'
import { storeErrors } from './store-errors.ts'

/** After this time (ms) no upload is under way any more, and what is left was left by a process that died. */
const stale = 3_600_000
const sweepEvery = 600_000
const form = /^up-[0-9a-f]{32}$/
const newName = () => `up-${randomBytes(16).toString('hex')}`

/** The place of files that are not whole yet. Several processes may share it. */
export class Staging {
  readonly #folder: string
  readonly #log: Logger
  /** Where files are moved to when they are whole, if they are moved. */
  readonly #target: string | undefined
  #made: Promise<unknown> | undefined

  constructor(folder: string, log: Logger, target?: string) {
    this.#folder = folder
    this.#log = log
    this.#target = target
  }

  /** A path of its own for `work`'s use. What is there at the end is removed, whatever the end. */
  async withFiles<T>(work: (newPath: () => Promise<string>) => Promise<T>): Promise<T> {
    const paths: string[] = []
    const newPath = async () => {
      await this.#make()
      const path = join(this.#folder, newName())
      paths.push(path)
      return path
    }
    try {
      return await work(newPath)
    } finally {
      await Promise.all(paths.map((path) => rm(path, { force: true }).catch(() => {})))
    }
  }

  /** Makes the folder, once. */
  async #make(): Promise<void> {
    this.#made ??= storeErrors(() => mkdir(this.#folder, { recursive: true, mode: 0o700 }))
    await this.#made.catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
  }

  /** Uploads can't be kept without it; everything else goes on. */
  async #demandFolder(): Promise<void> {
    try {
      await this.#make()
      await access(this.#folder, constants.W_OK | constants.X_OK)
      if (this.#target !== undefined) await this.#tryMove(this.#target)
    } catch (error) {
      const why = error instanceof Error ? error.message : error
      this.#log.error(
        `uploads fail: ${this.#folder} can't be written (${why}); set FILE_DIRECTORY or UPLOAD_STAGING to a folder of this process`,
      )
    }
  }

  /** A target on another file system will not do either. */
  async #tryMove(target: string): Promise<void> {
    const name = newName()
    await writeFile(join(this.#folder, name), '')
    await mkdir(target, { recursive: true })
    await rename(join(this.#folder, name), join(target, name))
    await rm(join(target, name))
  }

  /** Removes what processes left that died. */
  async sweep(now = Date.now()): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [])
    for (const name of names.filter((each) => form.test(each))) {
      const path = join(this.#folder, name)
      const about = await stat(path).catch(() => undefined)
      if (about && now - about.mtimeMs > stale) await rm(path, { force: true })
    }
  }

  /** Sweeps now and then. */
  start(): Closable {
    const sweep = () =>
      this.sweep().catch((error: unknown) => this.#log.warn({ err: error }, 'the rest of uploads was not removed'))
    void this.#demandFolder().then(sweep)
    const timer = setInterval(sweep, sweepEvery)
    timer.unref()
    return { close: async () => clearInterval(timer) }
  }
}
