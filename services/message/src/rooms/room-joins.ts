import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import type { Deps } from '../deps.ts'
import type { Standing } from '../room-facts/room-facts.ts'
import { answerJoins, type Join, noRoom, notMember, refuseJoin } from './answer-joins.ts'
import { mostShown } from './occupant-rolls.ts'
import { type RoomHistories, readHistories, wishedSince } from './room-history.ts'

/** Joins that are answered together. What they get is written in one turn, so it is also how long chat waits behind them. */
const joinsAtOnce = 240
/** After how long (ms) what could not be read is tried again. */
const readAgainAfter = 500

type RoomJoinsDeps = Pick<
  Deps,
  'messages' | 'occupants' | 'occupantRolls' | 'roomFacts' | 'feeds' | 'config' | 'log' | 'now'
>

/** Joins of the streams of one server that wait, by the room: those of a room are answered together. */
class Line {
  readonly #rooms = new Map<string, Join[]>()

  get isEmpty(): boolean {
    return !this.#rooms.size
  }

  add(join: Join): void {
    const room = this.#rooms.get(join.jid)
    if (room) room.push(join)
    else this.#rooms.set(join.jid, [join])
  }

  /** Rooms in turns: who waits in a crowd does not keep other rooms waiting. */
  take(most: number): Join[] {
    const taken: Join[] = []
    for (const [jid, joins] of this.#rooms) {
      if (taken.length >= most) break
      taken.push(...joins.splice(0, most - taken.length))
      this.#rooms.delete(jid)
      if (joins.length) this.#rooms.set(jid, joins)
    }
    return taken
  }
}

/** What all who join some rooms are told. */
interface Facts {
  /** By room, who has joined and may be shown; undefined: nobody is, they are too many. */
  others: ReadonlyMap<string, { userId: number; role: number }[] | undefined>
  histories: RoomHistories
}

/**
 * Answers joins. Many that come together cost few questions to the room service and to the archive, and few frames; the next
 * ones are written when the server has taken those before, so that a thousand of them keep nobody's messages waiting.
 */
export class RoomJoins {
  readonly #deps: RoomJoinsDeps
  readonly #lines = new Map<string, Line>()
  /** Joins that were asked about once more, and what the answer was. */
  readonly #asked: { join: Join; standing: Standing; facts: Facts }[] = []

  constructor(deps: RoomJoinsDeps) {
    this.#deps = deps
  }

  /** The stream is among the occupants already. The join is settled when it is answered, or the stream has left or is gone. */
  add(join: Join): void {
    const { server } = join.stream
    const line = this.#lines.get(server)
    if (line) {
      line.add(join)
      return
    }
    const first = new Line()
    first.add(join)
    this.#lines.set(server, first)
    void this.#work(server, first)
  }

  async #work(server: string, line: Line): Promise<void> {
    // What comes in one network read belongs together.
    await turn()
    let taken: Promise<unknown> | undefined
    while (!line.isEmpty) {
      const joins = this.#current(line.take(joinsAtOnce))
      const facts = await this.#read(joins)
      await taken
      try {
        if (facts) this.#answer(joins, facts)
      } catch (error) {
        // Those that are answered are not current any more.
        this.#later(joins, error)
      }
      taken = this.#deps.feeds
        .of(server)
        ?.whenTaken()
        .catch(() => {})
    }
    this.#lines.delete(server)
  }

  /** Settles those whose streams have left or joined anew. */
  #current(joins: readonly Join[]): Join[] {
    return joins.filter((join) => {
      const isCurrent = this.#deps.occupants.isJoining(join.stream, join.jid, join.joining)
      if (!isCurrent) join.settled()
      return isCurrent
    })
  }

  /** Undefined: it could not be read, and the joins come again later. */
  async #read(joins: readonly Join[]): Promise<Facts | undefined> {
    const { now } = this.#deps
    const wanted = joins.map(({ jid, member, wish }) => ({
      ...{ jid, since: wishedSince(member, wish), messages: wish.messages },
    }))
    try {
      const [others, histories] = await Promise.all([
        this.#othersIn([...new Set(joins.map(({ jid }) => jid))]),
        readHistories(this.#deps, wanted, now()),
      ])
      return { others, histories }
    } catch (error) {
      this.#later(joins, error)
      return undefined
    }
  }

  #later(joins: readonly Join[], error: unknown): void {
    this.#deps.log.warn({ reason: String(error), joins: joins.length }, 'joins could not be answered; trying again')
    void delay(readAgainAfter).then(() => {
      for (const join of this.#current(joins)) this.add(join)
    })
  }

  /** Who is shown to somebody who joins: nobody whose role is not announced, and nobody at all in a crowd. */
  async #othersIn(jids: readonly string[]): Promise<Facts['others']> {
    const { occupantRolls, roomFacts } = this.#deps
    return new Map(
      await Promise.all(
        jids.map(async (jid) => {
          const users = await occupantRolls.of(jid)
          if (!users || users.size >= mostShown) return [jid, undefined] as const
          const standings = await Promise.all([...users].map((user) => roomFacts.lately(jid, user)))
          return [jid, standings.flatMap(({ member }) => (member && member.role <= 3 ? [member] : []))] as const
        }),
      ),
    )
  }

  #answer(joins: readonly Join[], facts: Facts): void {
    const { roomFacts } = this.#deps
    const known: [Join, Standing][] = []
    for (const join of this.#current(joins)) {
      // What was read may be what somebody may no more see who was removed meanwhile.
      const standing = roomFacts.peek(join.jid, join.member.userId)
      if (standing?.member) known.push([join, standing])
      else void this.#answerAfterAsking(join, facts)
    }
    for (const some of Map.groupBy(known, ([{ jid }]) => jid).values()) this.#answerRoom(some, facts)
  }

  async #answerAfterAsking(join: Join, facts: Facts): Promise<void> {
    try {
      const standing = await this.#deps.roomFacts.ask(join.jid, join.member.userId, { forJoin: true })
      // Answers of one call come one after the other: they are acted on together, before anything else can be heard.
      if (!this.#asked.length) process.nextTick(() => this.#answerAsked())
      this.#asked.push({ join, standing, facts })
    } catch (error) {
      this.#later([join], error)
    }
  }

  #answerAsked(): void {
    const asked = this.#asked.splice(0)
    const current = new Set(this.#current(asked.map(({ join }) => join)))
    for (const [facts, its] of Map.groupBy(asked, (one) => one.facts))
      for (const some of Map.groupBy(its, ({ join }) => join.jid).values()) {
        const known = some.flatMap(({ join, standing }) => (current.has(join) ? [[join, standing] as const] : []))
        try {
          if (known.length) this.#answerRoom(known, facts)
        } catch (error) {
          this.#later(
            known.map(([join]) => join),
            error,
          )
        }
      }
  }

  #answerRoom(joins: readonly (readonly [Join, Standing])[], { others, histories }: Facts): void {
    const welcome: Join[] = []
    for (const [join, { state, member }] of joins)
      if (state === 'dissolved' || (state === 'live' && !member))
        refuseJoin(this.#deps, join, state === 'live' ? notMember : noRoom)
      else welcome.push(member ? { ...join, member } : join)
    const { jid } = joins[0]![0]
    answerJoins(this.#deps, welcome, { others: others.get(jid), rows: histories.get(jid) ?? [] })
  }
}
