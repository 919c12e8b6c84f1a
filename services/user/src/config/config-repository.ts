import { isDeepStrictEqual } from 'node:util'
import type { ServerConfig } from '@im/contracts/user'
import type { Change } from '@im/service-kit'
import type { ClientSession, Collection, Db } from 'mongodb'
import type { UserConfig } from '../config.ts'
import { initialConfig } from './initial-config.ts'

interface ConfigDocument {
  _id: 'config'
  values: Partial<ServerConfig>
}

/** Those who follow the configuration read it every four seconds, so they know each change within five (ms). */
const freshFor = 1000

/** The configuration, in one stored document. Every process sees a change within a second. */
export class ConfigRepository {
  readonly #documents: Collection<ConfigDocument>
  readonly #initial: ServerConfig
  #read: { at: number; config: Promise<ServerConfig> } | undefined

  constructor(db: Db, env: UserConfig) {
    this.#documents = db.collection('config')
    this.#initial = initialConfig(env)
  }

  /** Stored values win over those of the environment, and those over the defaults. */
  get(): Promise<ServerConfig> {
    if (!this.#read || performance.now() - this.#read.at >= freshFor) {
      const config = this.#load()
      const read = { at: performance.now(), config }
      this.#read = read
      config.catch(() => {
        if (this.#read === read) this.#read = undefined
      })
    }
    return this.#read.config
  }

  /** Reads anew at the next `get`. */
  forget(): void {
    this.#read = undefined
  }

  /** Stores the given values that differ from the present ones, and returns those that were there before. */
  async store(values: Partial<ServerConfig>, { session }: Change): Promise<Partial<ServerConfig>> {
    const present: Record<string, unknown> = await this.#load(session)
    const changed = Object.entries(values).filter(([name, value]) => !isDeepStrictEqual(value, present[name]))
    if (!changed.length) return {}
    const set = Object.fromEntries(changed.map(([name, value]) => [`values.${name}`, value]))
    await this.#documents.updateOne({ _id: 'config' }, { $set: set }, { upsert: true, session })
    return Object.fromEntries(changed.map(([name]) => [name, present[name]]))
  }

  async #load(session?: ClientSession): Promise<ServerConfig> {
    const document = await this.#documents.findOne({ _id: 'config' }, { session })
    return { ...this.#initial, ...document?.values }
  }
}
