import { lookup } from 'node:dns/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from './logs.ts'

/** How often (ms) names are looked up for servers that came or went. */
const lookUpEvery = 5000

/** Looks a name up, as `lookup` of node:dns does. */
export type LookUp = (name: string) => Promise<readonly { address: string; family: number }[]>

/**
 * The servers of a setting by their addresses. A name stands for every server that DNS gives it at the moment, so servers can
 * be added and removed without a new setting.
 */
export class FollowedServers {
  readonly #urls: readonly URL[]
  readonly #log: Logger
  readonly #lookUp: LookUp
  readonly #closing = new AbortController()
  readonly #following: Promise<void>
  readonly #addressesOf = new Map<URL, readonly string[]>()
  #addresses: readonly string[] = []
  /** Resolves when the names were looked up for the first time. */
  readonly found: Promise<void>

  /** `urls` are separated by commas. */
  constructor({ urls, log, lookUp = inDns }: { urls: string; log: Logger; lookUp?: LookUp | undefined }) {
    this.#urls = urls.split(',').map((url) => new URL(url.trim()))
    this.#log = log
    this.#lookUp = lookUp
    this.found = this.#find()
    this.#following = this.#follow()
  }

  /** For example `http://10.0.0.7:5280`; each once, in the same order for everybody. */
  get addresses(): readonly string[] {
    return this.#addresses
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing
    await this.found
    while (!signal.aborted) {
      await delay(lookUpEvery, undefined, { signal }).catch(() => {})
      if (!signal.aborted) await this.#find()
    }
  }

  async #find(): Promise<void> {
    await Promise.all(this.#urls.map((url) => this.#findAt(url)))
    this.#addresses = [...new Set([...this.#addressesOf.values()].flat())].sort()
  }

  async #findAt(url: URL): Promise<void> {
    const { protocol, hostname, port } = url
    try {
      const hosts = await this.#lookUp(hostname.replace(/^\[|\]$/g, ''))
      const hostOf = ({ address, family }: (typeof hosts)[number]) => (family === 6 ? `[${address}]` : address)
      this.#addressesOf.set(
        url,
        hosts.map((host) => `${protocol}//${hostOf(host)}:${port}`),
      )
    } catch (error) {
      // A name that can't be looked up at the moment keeps the servers it had.
      this.#log.debug({ err: error, name: hostname }, 'the name of a server is not known')
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#following
  }
}

const inDns: LookUp = (name) => lookup(name, { all: true })
