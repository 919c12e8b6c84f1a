import type { Bus, Closable } from '@im/service-kit'
import { cutParts } from '../peers/cut-parts.ts'
import type { Peers } from '../peers/peers.ts'
import type { FarOutcome, Outgoing } from '../streams/delivery.ts'
import type { FarDeliveries } from './deliverer.ts'

/** How long (ms) another replica has to settle a delivery: longer than it takes to put it into the mailbox. */
const settledWithin = 8000

/** Deliveries for streams of another replica; `number` 0 wants no answer. */
interface Asked {
  from: string
  messages: [number: number, message: Outgoing][]
}

interface Answered {
  outcomes: [number: number, outcome: FarOutcome][]
}

interface Grown {
  from: string
  users: [user: number, at: number, seq: number][]
}

interface Open {
  replica: string
  until: number
  settled: (outcome: FarOutcome) => void
}

/** What this replica does for others. */
export interface Served {
  deliverHere(message: Outgoing, answer: (outcome: FarOutcome) => void): void
  mailboxGrew(user: number, place: { at: number; seq: number }): void
}

/** Deliveries between replicas over NATS, answered when they are settled. What gets lost on the way ends in the mailbox. */
export class FarDeliveriesOverNats implements FarDeliveries {
  readonly #bus: Bus
  readonly #peers: Peers
  readonly #open = new Map<number, Open>()
  #number = 0
  readonly #asking = new Map<string, Asked['messages']>()
  readonly #answering = new Map<string, Answered['outcomes']>()
  /** Users whose mailboxes have grown, from which place on. Kept while nobody can be told. */
  #grown = new Map<number, { at: number; seq: number }>()
  #isFlushing = false
  #isConnected = true

  constructor({ bus, peers }: { bus: Bus; peers: Peers }) {
    this.#bus = bus
    this.#peers = peers
    peers.watch({
      gone: (id) => {
        for (const [number, { replica }] of this.#open) if (replica === id) this.#settle(number, { is: 'nobody' })
      },
      tick: () => {
        const now = performance.now()
        // In the order they were asked.
        for (const [number, { until }] of this.#open)
          if (until <= now) this.#settle(number, { is: 'nobody' })
          else break
      },
    })
  }

  start(served: Served): Closable {
    const { id } = this.#peers
    const parts = [
      this.#bus.onConnection((isConnected) => {
        this.#isConnected = isConnected
        if (isConnected) this.#soon()
        // What was asked may have got lost, and so may the answer: the mailbox has it sooner than the time for it is over.
        else for (const number of this.#open.keys()) this.#settle(number, { is: 'nobody' })
      }),
      this.#bus.onTell(`deliver.${id}`, (text) => {
        const { from, messages } = JSON.parse(text) as Asked
        for (const [number, message] of messages)
          served.deliverHere(message, (outcome) => {
            if (number) this.#answer(from, number, outcome)
          })
      }),
      this.#bus.onTell(`settled.${id}`, (text) => {
        for (const [number, outcome] of (JSON.parse(text) as Answered).outcomes) this.#settle(number, outcome)
      }),
      this.#bus.onTell('mailbox', (text) => {
        const { from, users } = JSON.parse(text) as Grown
        if (from !== id) for (const [user, at, seq] of users) served.mailboxGrew(user, { at, seq })
      }),
    ]
    return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
  }

  deliver(replica: string, message: Outgoing, settled: ((outcome: FarOutcome) => void) | undefined): void {
    if (!this.#isConnected) {
      settled?.({ is: 'nobody' })
      return
    }
    let number = 0
    if (settled) {
      number = ++this.#number
      this.#open.set(number, { replica, until: performance.now() + settledWithin, settled })
    }
    const messages = this.#asking.get(replica)
    if (messages) messages.push([number, message])
    else this.#asking.set(replica, [[number, message]])
    this.#soon()
  }

  mailboxGrew(user: number, { at, seq }: { at: number; seq: number }): void {
    if (!this.#peers.others.length) return
    const known = this.#grown.get(user)
    if (!known || at < known.at || (at === known.at && seq < known.seq)) this.#grown.set(user, { at, seq })
    this.#soon()
  }

  #answer(replica: string, number: number, outcome: FarOutcome): void {
    const outcomes = this.#answering.get(replica)
    if (outcomes) outcomes.push([number, outcome])
    else this.#answering.set(replica, [[number, outcome]])
    this.#soon()
  }

  #settle(number: number, outcome: FarOutcome): void {
    const open = this.#open.get(number)
    if (!open) return
    this.#open.delete(number)
    open.settled(outcome)
  }

  #soon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#isFlushing = false
    if (!this.#isConnected) return
    const { id: from } = this.#peers
    // Mailboxes first: what comes after must not pass them.
    const grown = [...this.#grown].map(([user, { at, seq }]): Grown['users'][number] => [user, at, seq])
    this.#grown.clear()
    while (grown.length)
      this.#bus.tell('mailbox', JSON.stringify({ from, users: grown.splice(0, 2000) } satisfies Grown))
    for (const [replica, asked] of this.#asking)
      for (const messages of cutParts(asked, lengthOfAsked))
        this.#bus.tell(`deliver.${replica}`, JSON.stringify({ from, messages } satisfies Asked))
    for (const [replica, answered] of this.#answering)
      for (const outcomes of cutParts(answered, lengthOfAnswered))
        this.#bus.tell(`settled.${replica}`, JSON.stringify({ outcomes } satisfies Answered))
    this.#asking.clear()
    this.#answering.clear()
  }
}

/** About how many characters it takes: names of devices are as long as their clients make them. */
const lengthOfAsked = ([, { text, id = '', devices = [], audience }]: Asked['messages'][number]) =>
  400 + text.length + id.length + lengthOf(devices) + ('resource' in audience ? audience.resource.length : 0)

const lengthOfAnswered = ([, outcome]: Answered['outcomes'][number]) =>
  40 + (outcome.is === 'confirmed' ? lengthOf(outcome.by) : 0)

const lengthOf = (devices: readonly string[]) => devices.reduce((sum, { length }) => sum + length + 3, 0)
