import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The folder that is shared by all checkouts of this user: built and downloaded servers, and known failures. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'yingchuang-im')
}

/** Failures worth remembering: each costs seconds to see again. Forgotten after a day. */
export class FailureMemory {
  readonly #folder: string
  constructor(folder: string) {
    this.#folder = folder
  }

  async failedAt(what: string): Promise<Date | undefined> {
    const time = (await this.#read())[what]
    return time !== undefined && Date.now() - time < 24 * 3600_000 ? new Date(time) : undefined
  }

  async remember(what: string): Promise<void> {
    await mkdir(this.#folder, { recursive: true })
    await writeFile(this.#file, JSON.stringify({ ...(await this.#read()), [what]: Date.now() }))
  }

  get #file(): string {
    return join(this.#folder, 'failures.json')
  }

  async #read(): Promise<Record<string, number>> {
    try {
      return JSON.parse(await readFile(this.#file, 'utf8')) as Record<string, number>
    } catch {
      return {}
    }
  }
}
