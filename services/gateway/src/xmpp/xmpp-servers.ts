import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import type { FollowedServers } from '@im/service-kit'

/** How long (ms) a server may take to accept a connection. */
const acceptWithin = 1000
/** How long (ms) a server that did not accept one is asked after all others. */
const avoidedFor = 5000

/** The XMPP servers behind the gateway, by their addresses (`http://10.0.0.7:5280`). */
export class XmppServers {
  readonly #servers: Pick<FollowedServers, 'addresses' | 'found' | 'close'>
  readonly #failedAt = new Map<string, number>()

  constructor(servers: Pick<FollowedServers, 'addresses' | 'found' | 'close'>) {
    this.#servers = servers
  }

  /** A server that accepts connections, chosen at random: so streams are spread. */
  async findLiving(): Promise<string | undefined> {
    await this.#servers.found
    const now = performance.now()
    const isAvoided = (address: string) => now - (this.#failedAt.get(address) ?? Number.NEGATIVE_INFINITY) < avoidedFor
    const candidates = this.#servers.addresses
      .map((address) => ({ address, rank: Math.random() + (isAvoided(address) ? 1 : 0) }))
      .sort((a, b) => a.rank - b.rank)
    for (const { address } of candidates) if (await this.isLiving(address)) return address
    return undefined
  }

  /** Whether the server accepts a connection now. */
  async isLiving(address: string): Promise<boolean> {
    const { hostname, port } = new URL(address)
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80), timeout: acceptWithin })
    const accepts = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      for (const failure of ['error', 'timeout']) socket.once(failure, () => resolve(false))
    })
    socket.destroy()
    if (accepts) this.#failedAt.delete(address)
    else this.#failedAt.set(address, performance.now())
    return accepts
  }

  /** A short name of a server, the same in every gateway. */
  keyOf(address: string): string {
    return createHash('sha256').update(address).digest('hex').slice(0, 8)
  }

  /** The server with this key, while it is there. */
  async withKey(key: string): Promise<string | undefined> {
    await this.#servers.found
    return this.#servers.addresses.find((address) => this.keyOf(address) === key)
  }

  close(): Promise<void> {
    return this.#servers.close()
  }
}
