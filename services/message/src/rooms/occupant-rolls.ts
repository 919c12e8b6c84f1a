import type { Bus, Closable } from '@im/service-kit'
import type { Peers } from '../peers/peers.ts'
import type { Occupants } from './occupants.ts'

/** From so many on nobody is told who is in a room. */
export const mostShown = 500
/** How long (ms) the answers of other replicas are waited for; who is missed is not shown. */
const answeredWithin = 300
const gatherFor = 5
/** The answer has to fit into a message of NATS. */
const roomsAtOnce = 150

interface Asked {
  from: string
  number: number
  jids: string[]
}

interface Answered {
  id: string
  number: number
  /** Users in each room, in the order of the question; a number alone when they are too many. */
  rooms: (number[] | number)[]
}

interface Question {
  jids: string[]
  replicas: Set<string>
  users: Map<string, Set<number>>
  tooMany: Set<string>
  answers: PromiseWithResolvers<Question>
}

/** Who has joined rooms, on whichever replica; only for showing it. */
export class OccupantRolls {
  readonly #bus: Bus
  readonly #peers: Peers
  readonly #occupants: Occupants
  readonly #open = new Map<number, Question>()
  #number = 0
  #next: Question | undefined

  constructor(options: { bus: Bus; peers: Peers; occupants: Occupants }) {
    this.#bus = options.bus
    this.#peers = options.peers
    this.#occupants = options.occupants
  }

  start(): Closable {
    const { id } = this.#peers
    const parts = [
      this.#bus.onTell('rooms.who', (text) => {
        const { from, number, jids } = JSON.parse(text) as Asked
        if (from === id) return
        const rooms = jids.map((jid) => {
          const users = this.#occupants.usersIn(jid)
          return users.size < mostShown ? [...users] : users.size
        })
        this.#bus.tell(`rooms.here.${from}`, JSON.stringify({ id, number, rooms } satisfies Answered))
      }),
      this.#bus.onTell(`rooms.here.${id}`, (text) => this.#hear(JSON.parse(text) as Answered)),
    ]
    return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
  }

  /** Users in a room; undefined when they are too many to be shown. */
  async of(jid: string): Promise<Set<number> | undefined> {
    const own = this.#occupants.usersIn(jid)
    if (own.size >= mostShown) return undefined
    if (!this.#peers.others.some(({ feeds }) => feeds)) return own
    if (!this.#next || this.#next.jids.length >= roomsAtOnce) this.#next = this.#begin()
    const question = this.#next
    question.jids.push(jid)
    const { users, tooMany } = await question.answers.promise
    const all = new Set([...own, ...(users.get(jid) ?? [])])
    return tooMany.has(jid) || all.size >= mostShown ? undefined : all
  }

  #begin(): Question {
    const replicas = new Set(this.#peers.others.filter(({ feeds }) => feeds).map(({ id }) => id))
    const answers = Promise.withResolvers<Question>()
    const question: Question = { jids: [], replicas, users: new Map(), tooMany: new Set(), answers }
    const number = ++this.#number
    setTimeout(() => {
      if (this.#next === question) this.#next = undefined
      this.#open.set(number, question)
      this.#bus.tell('rooms.who', JSON.stringify({ from: this.#peers.id, number, jids: question.jids } satisfies Asked))
      setTimeout(() => this.#end(number), answeredWithin)
    }, gatherFor)
    return question
  }

  #hear({ id, number, rooms }: Answered): void {
    const question = this.#open.get(number)
    if (!question) return
    rooms.forEach((found, index) => {
      const jid = question.jids[index]!
      if (typeof found === 'number') question.tooMany.add(jid)
      else question.users.set(jid, new Set([...(question.users.get(jid) ?? []), ...found]))
    })
    question.replicas.delete(id)
    if (!question.replicas.size) this.#end(number)
  }

  #end(number: number): void {
    const question = this.#open.get(number)
    this.#open.delete(number)
    question?.answers.resolve(question)
  }
}
