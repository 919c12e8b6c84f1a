import { internalConfig, type ServerConfig } from '@im/contracts/user'
import type { Logger, ServiceClient } from '@im/service-kit'

/** Milliseconds after which a change is known here at the latest. */
const freshFor = 5000

/** The configuration that the user service keeps, read again when it is asked for and may have changed. */
export class ServerConfigReader {
  readonly #user: ServiceClient
  readonly #log: Logger
  #known: ServerConfig | undefined
  #freshUntil = 0
  #reading: Promise<ServerConfig> | undefined

  constructor(options: { user: ServiceClient; log: Logger }) {
    this.#user = options.user
    this.#log = options.log
  }

  /** The last one that is known; nobody waits for a newer one. Rejects with ServiceUnavailable when none was ever read. */
  async read(): Promise<ServerConfig> {
    if (this.#known && performance.now() < this.#freshUntil) return this.#known
    this.#reading ??= this.#ask()
    if (!this.#known) return this.#reading
    this.#reading.catch((error: unknown) => this.#log.warn({ err: error }, 'the configuration was not read again'))
    return this.#known
  }

  async #ask(): Promise<ServerConfig> {
    try {
      // Not sooner again when it fails, either.
      this.#freshUntil = performance.now() + freshFor
      this.#known = await this.#user.call(internalConfig.getServerConfig, {})
      return this.#known
    } finally {
      this.#reading = undefined
    }
  }
}
