import type { ResultOf } from '@im/contracts'
import { talks as contract } from '@im/contracts/message'
import type { Logger, ServiceClient } from '@im/service-kit'

/** What two users have written to each other, seen from one of them. */
export type Talk = ResultOf<(typeof contract)['getTalks']>['talks'][number]

/** Peers of one question. */
const peersAtOnce = 1000
/** How long (ms) counts are worth waiting for. */
const longestWait = 1000

/** Unread messages and the time of the last one, which the message service counts. */
export class Talks {
  readonly #message: Pick<ServiceClient, 'call'>
  readonly #log: Logger

  constructor(message: Pick<ServiceClient, 'call'>, log: Logger) {
    this.#message = message
    this.#log = log
  }

  /** With these peers, by the peer; those without messages are absent. */
  async of(userId: number, peers: readonly number[]): Promise<Map<number, Talk>> {
    const parts = Array.from({ length: Math.ceil(peers.length / peersAtOnce) }, (_, n) =>
      peers.slice(n * peersAtOnce, (n + 1) * peersAtOnce),
    )
    return new Map((await Promise.all(parts.map((some) => this.#ask(userId, some)))).flat())
  }

  /** With everybody. */
  async all(userId: number): Promise<Map<number, Talk>> {
    return new Map(await this.#ask(userId))
  }

  /** A list of friends is shown without counts while they are out of reach. */
  async #ask(userId: number, peers?: number[]): Promise<[number, Talk][]> {
    try {
      const { talks } = await this.#message.call(
        contract.getTalks,
        { userId, peers },
        { deadline: Date.now() + longestWait },
      )
      return talks.map((talk) => [talk.peer, talk])
    } catch (error) {
      this.#log.warn({ err: error }, 'unread messages could not be counted')
      return []
    }
  }
}
