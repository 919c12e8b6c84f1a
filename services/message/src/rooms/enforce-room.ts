import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, type Params } from '@im/contracts'
import type { liveRooms } from '@im/contracts/message'
import {
  memberChanged,
  memberGone,
  membersJoined,
  roomChanged,
  roomCreated,
  roomDissolved,
  roomTransferred,
} from '@im/contracts/room'
import type { Bus, Closable } from '@im/service-kit'
import type { Peers } from '../peers/peers.ts'
import type { RoomFacts } from '../room-facts/room-facts.ts'

/** How long (ms) replicas have to say that they know. One that says nothing for so long counts as gone before that. */
const knownWithin = 2500
const hearsWithin = 500

interface Told {
  from: string
  number: number
  jid: string
  sequence: number
}

interface Waiting {
  replicas: Set<string>
  done: () => void
}

/**
 * Puts changes of rooms into force: when `enforce` resolves, no replica decides by what was true before. A replica that does
 * not answer is either gone, and trusts nothing it knew once it is back in touch, or the caller hears that it is not so yet.
 */
export class RoomEnforcer {
  readonly #bus: Bus
  readonly #peers: Peers
  readonly #facts: RoomFacts
  readonly #waiting = new Map<number, Waiting>()
  #number = 0

  constructor(options: { bus: Bus; peers: Peers; facts: RoomFacts }) {
    this.#bus = options.bus
    this.#peers = options.peers
    this.#facts = options.facts
    this.#peers.watch({
      gone: (id) => {
        for (const number of [...this.#waiting.keys()]) this.#knows(number, id)
      },
    })
  }

  start(): Closable {
    const { id } = this.#peers
    const events = [roomCreated, roomChanged, roomDissolved, roomTransferred, membersJoined, memberGone, memberChanged]
    const parts = [
      this.#bus.onConnection((isConnected) => {
        // Changes that came into force meanwhile were not heard: this replica counted as gone.
        if (isConnected) this.#facts.forgetAll()
      }),
      this.#bus.onTell('rooms.enforce', (text) => {
        const { from, number, jid, sequence } = JSON.parse(text) as Told
        this.#facts.forget(jid, sequence)
        if (from !== id) this.#bus.tell(`rooms.enforced.${from}`, JSON.stringify({ number, id }))
      }),
      this.#bus.onTell(`rooms.enforced.${id}`, (text) => {
        const { number, id: replica } = JSON.parse(text) as { number: number; id: string }
        this.#knows(number, replica)
      }),
      ...events.map((event) =>
        this.#bus.hear(event, ({ room }, { sequence }) => this.#facts.forget(room.jid, sequence)),
      ),
    ]
    return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
  }

  /** Throws ServiceUnavailable when replicas that are there have not answered in time. */
  async enforce({ jid, sequence }: Pick<Params<(typeof liveRooms)['enforceRoom']>, 'jid' | 'sequence'>): Promise<void> {
    this.#facts.forget(jid, sequence)
    // One that has just started hears of the others in a moment.
    for (let waited = 0; !this.#peers.hears && waited < hearsWithin; waited += 20) await delay(20)
    if (!this.#peers.hears) throw new ContractError('ServiceUnavailable', { detail: 'replicas are out of reach' })
    const replicas = new Set(this.#peers.others.map(({ id }) => id))
    const number = ++this.#number
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(
      () => reject(new ContractError('ServiceUnavailable', { detail: 'a replica does not answer' })),
      knownWithin,
    )
    this.#waiting.set(number, { replicas, done: resolve })
    this.#bus.tell('rooms.enforce', JSON.stringify({ from: this.#peers.id, number, jid, sequence } satisfies Told))
    if (!replicas.size) resolve()
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(number)
    }
  }

  #knows(number: number, replica: string): void {
    const waiting = this.#waiting.get(number)
    if (!waiting) return
    waiting.replicas.delete(replica)
    if (!waiting.replicas.size) waiting.done()
  }
}
