import { constants, copyFile, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FileStore, StoredFile } from './file-store.ts'
import type { Staging } from './staging.ts'
import { storeErrors } from './store-errors.ts'

const isMissing = (error: unknown) => ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')

/** Keeps files in a directory. Several replicas may share it, when all of them see it as one file system. */
export class DirectoryStore implements FileStore {
  readonly #root: string
  /** On the same file system. */
  readonly #staging: Pick<Staging, 'withFiles'>

  constructor(root: string, staging: Pick<Staging, 'withFiles'>) {
    this.#root = root
    this.#staging = staging
  }

  async put(key: string, localFile: string): Promise<void> {
    await storeErrors(async () => {
      await sync(localFile)
      await this.#move(localFile, this.#pathOf(key))
    })
  }

  async open(key: string): Promise<StoredFile | undefined> {
    return await storeErrors(async () => {
      const file = await open(this.#pathOf(key), constants.O_RDONLY).catch((error: unknown) => {
        if (isMissing(error)) return undefined
        throw error
      })
      if (!file) return undefined
      const about = await file.stat()
      if (!about.isFile()) {
        await file.close()
        return undefined
      }
      return {
        bytes: about.size,
        // A file is replaced by another inode, so these three tell all versions of an avatar apart.
        etag: `"${[about.mtimeMs, about.size, about.ino].map((part) => Math.round(part).toString(36)).join('-')}"`,
        modifiedAt: about.mtime,
        read: async (range) => file.createReadStream({ ...range, highWaterMark: 256 * 1024 }),
        close: () => file.close(),
      }
    })
  }

  async copy(from: string, to: string): Promise<boolean> {
    return await this.#staging.withFiles(async (newPath) => {
      const copied = await newPath()
      return await storeErrors(async () => {
        try {
          await copyFile(this.#pathOf(from), copied)
        } catch (error) {
          if (isMissing(error)) return false
          throw error
        }
        await sync(copied)
        await this.#move(copied, this.#pathOf(to))
        return true
      })
    })
  }

  async remove(keys: readonly string[]): Promise<void> {
    await storeErrors(async () => {
      for (const key of keys) await rm(this.#pathOf(key), { force: true })
    })
  }

  async close(): Promise<void> {}

  #pathOf(key: string): string {
    return join(this.#root, key)
  }

  async #move(from: string, to: string): Promise<void> {
    const folder = dirname(to)
    await mkdir(folder, { recursive: true })
    await rename(from, to)
    await sync(folder)
  }
}

/** After it, the power may fail. */
async function sync(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
