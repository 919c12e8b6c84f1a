import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, type ResultOf } from '@im/contracts'
import { internalRooms, type RoomState, type StandingMember } from '@im/contracts/room'
import { GatheredQuestions, type ServiceClient, upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import { type JoinedRoom, sinceOf } from './joined-room.ts'

/** What a user is in a room. */
export type Standing = ResultOf<(typeof internalRooms)['getStandings']>['standings'][number]

/**
 * What is known of a room: all of it was true at the same moment, that of its event `sequence`. An answer with the same number
 * confirms all of it. Another object when anything of it has changed.
 */
export interface KnownRoom {
  readonly jid: string
  readonly state: Standing['state']
  readonly sequence: number
  readonly room: RoomState | undefined
  /** Those who were asked about; undefined for who is no member. */
  readonly members: Map<number, StandingMember | undefined>
  askedAt: number
}

/** How long (ms) an answer counts without a question. Changes are told, so this is only for what got lost. */
const freshFor = 60_000
/** A refusal needs an answer that is not older than this. */
const freshForRefusal = 1000
/** How old an answer may be when the room service does not answer (spec xmpp.md §8). */
const usableFor = 600_000
/** An answer may be older than a change that was told meanwhile: then it is asked for again. */
const mostTries = 5

/** Milliseconds between two calls: each costs as much as hundreds of questions. */
const callsApart = 20
/** The same for joins, and how many one call asks about: a crowd of them takes no more of the CPUs, and people talk beside it. */
const ofJoins = { every: 40, most: 240 }

interface Pair {
  jid: string
  userId: number
}

/**
 * What the room service says about rooms and who is in them: asked for many pairs at once, kept until a change is told
 * (`forget`). What it knows counts only while this replica is in touch with the others, because a change is in force when all
 * that are in touch have heard of it.
 */
export class RoomFacts {
  readonly #service: Pick<ServiceClient, 'call'>
  readonly #now: () => number
  readonly #isInTouch: () => boolean
  readonly #known = new LRUCache<string, KnownRoom>(upTo(20_000))
  /** The last change of a room that was told of, and the moment: an answer from before is void. */
  readonly #changed = new LRUCache<string, { sequence: number; moment: number }>(upTo(100_000))
  #moment = 0
  /** When all may have changed. */
  #allChanged = 0
  readonly #asking = new Map<string, Promise<Standing>>()
  #allForgottenAt = Number.NEGATIVE_INFINITY
  readonly #questions = new GatheredQuestions<Pair, Standing>((pairs) => this.#put(pairs), { every: callsApart })
  readonly #questionsOfJoins = new GatheredQuestions<Pair, Standing>((pairs) => this.#put(pairs), ofJoins)

  /** `now` tells ms by a clock that nobody sets. */
  constructor(options: { service: Pick<ServiceClient, 'call'>; now: () => number; isInTouch: () => boolean }) {
    this.#service = options.service
    this.#now = options.now
    this.#isInTouch = options.isInTouch
  }

  /** What is known counts; else each question goes to the room service. */
  get isInTouch(): boolean {
    return this.#isInTouch()
  }

  /** What is known of a room without a question; with `forRefusal` only when it was asked just now. */
  room(jid: string, { forRefusal = false } = {}): KnownRoom | undefined {
    const known = this.#known.get(jid)
    if (!known || !this.#isInTouch()) return undefined
    return this.#now() - known.askedAt < (forRefusal ? freshForRefusal : freshFor) ? known : undefined
  }

  /** What a user is in a room, as far as it is known without a question. */
  peek(jid: string, userId: number, { forRefusal = false } = {}): Standing | undefined {
    const known = this.room(jid, { forRefusal })
    if (!known) return undefined
    if (known.state === 'dissolved') return { state: 'dissolved', sequence: known.sequence }
    return known.members.has(userId) ? standingIn(known, userId) : undefined
  }

  /**
   * Asks the room service. When it does not answer, what it said within ten minutes counts unless a change was told since, or may
   * have been; without that it throws ServiceUnavailable. What is asked `forJoin` gives way to what people say.
   */
  ask(jid: string, userId: number, { forJoin = false } = {}): Promise<Standing> {
    const key = `${jid} ${userId} ${forJoin}`
    const running = this.#asking.get(key)
    if (running) return running
    const answer = this.#askFor({ jid, userId }, forJoin ? this.#questionsOfJoins : this.#questions).finally(() => {
      if (this.#asking.get(key) === answer) this.#asking.delete(key)
    })
    this.#asking.set(key, answer)
    return answer
  }

  async of(jid: string, userId: number): Promise<Standing> {
    return this.peek(jid, userId) ?? (await this.ask(jid, userId))
  }

  /** As `of`, for what is only shown to who joins: an answer of the last second counts, also while changes are not heard. */
  async lately(jid: string, userId: number): Promise<Standing> {
    const known = this.#known.get(jid)
    if (known?.members.has(userId) && this.#now() - known.askedAt < freshForRefusal) return standingIn(known, userId)
    return this.peek(jid, userId) ?? (await this.ask(jid, userId, { forJoin: true }))
  }

  /** Something about the room changed: nothing from before its event `sequence` is believed any more. */
  forget(jid: string, sequence: number): void {
    this.#changed.set(jid, { sequence: Math.max(sequence, this.#lastChangeOf(jid)), moment: ++this.#moment })
    const known = this.#known.peek(jid)
    if (known && known.sequence < sequence) this.#known.delete(jid)
  }

  /** Changes may have been missed: nothing that was asked before is believed any more. */
  forgetAll(): void {
    this.#known.clear()
    this.#allForgottenAt = this.#now()
    this.#allChanged = ++this.#moment
    this.#asking.clear()
  }

  /** To be taken before it is asked which rooms a user is in: see `leftSince`. It rises with each change that is told. */
  get moment(): number {
    return this.#moment
  }

  /**
   * Of these rooms those that a user has left since a moment, whether they came back or not: what was read of them meanwhile may not
   * be theirs. Only rooms that have changed cost a question. Throws ServiceUnavailable when that is not answered.
   */
  async leftSince(
    moment: number,
    userId: number,
    rooms: readonly Pick<JoinedRoom, 'jid' | 'joinedAt'>[],
  ): Promise<Set<string>> {
    const hasChanged = ({ jid }: Pick<JoinedRoom, 'jid'>) =>
      !this.#isInTouch() || Math.max(this.#allChanged, this.#changed.get(jid)?.moment ?? 0) > moment
    const left = await Promise.all(
      rooms.filter(hasChanged).map(async (room) => {
        const { member } = await this.of(room.jid, userId)
        return member?.since === sinceOf(room) ? [] : [room.jid]
      }),
    )
    return new Set(left.flat())
  }

  #lastChangeOf(jid: string): number {
    return this.#changed.get(jid)?.sequence ?? 0
  }

  /** The rooms a user is in now. Throws ServiceUnavailable when the room service does not answer. */
  async roomsOf(userId: number): Promise<{ room: RoomState; member: StandingMember }[]> {
    return (await this.#service.call(internalRooms.listRoomsOf, { userId })).rooms
  }

  /** The ids of all members of a room. */
  async *membersOf(roomId: string): AsyncGenerator<number[]> {
    for (let after: number | undefined; ; ) {
      const params = { roomId, pageSize: 1000, ...(after === undefined ? {} : { after }) }
      const { members, next } = await this.#service.call(internalRooms.pageMembers, params)
      yield members.map(({ userId }) => userId)
      if (next === undefined) return
      after = next
    }
  }

  async #askFor({ jid, userId }: Pair, questions: GatheredQuestions<Pair, Standing>): Promise<Standing> {
    for (let tries = 1; ; tries++) {
      let standing: Standing | undefined
      const askedAt = this.#now()
      try {
        standing = await questions.ask({ jid, userId })
      } catch (cause) {
        const known = this.#isInTouch() ? this.#known.get(jid) : undefined
        if (known?.members.has(userId) && this.#now() - known.askedAt < usableFor) return standingIn(known, userId)
        throw new ContractError('ServiceUnavailable', { cause })
      }
      if (!standing) throw new ContractError('ServiceUnavailable', { detail: 'room gave no answer' })
      const isOld = askedAt < this.#allForgottenAt || standing.sequence < this.#lastChangeOf(jid)
      if (standing.state === 'unknown' || !isOld) return standing
      if (tries === mostTries) throw new ContractError('ServiceUnavailable', { detail: 'room gave an old answer' })
      await delay(20 * tries)
    }
  }

  async #put(pairs: Pair[]): Promise<Standing[]> {
    const askedAt = this.#now()
    const told = await this.#service.call(internalRooms.getStandings, { pairs })
    const standings = withRooms(pairs, told.standings)
    if (askedAt >= this.#allForgottenAt)
      standings.forEach((standing, index) => {
        const pair = pairs[index]
        if (pair) this.#remember(pair, standing, askedAt)
      })
    return standings
  }

  /** A room that is unknown may be made at any moment: that is asked each time. */
  #remember({ jid, userId }: Pair, { state, sequence, room, member }: Standing, askedAt: number): void {
    if (state === 'unknown' || sequence < this.#lastChangeOf(jid)) return
    const known = this.#known.peek(jid)
    if (known && known.sequence > sequence) return
    if (known?.sequence === sequence) {
      known.members.set(userId, member)
      known.askedAt = Math.max(known.askedAt, askedAt)
    } else this.#known.set(jid, { jid, state, sequence, room, members: new Map([[userId, member]]), askedAt })
  }
}

/** An answer tells each room once. */
function withRooms(pairs: readonly Pair[], standings: readonly Standing[]): Standing[] {
  const rooms = new Map<string, RoomState>()
  return standings.map((standing, index) => {
    const { jid = '' } = pairs[index] ?? {}
    if (standing.room) rooms.set(jid, standing.room)
    const room = rooms.get(jid)
    return room && !standing.room && standing.state === 'live' ? { ...standing, room } : standing
  })
}

const standingIn = ({ state, sequence, room, members }: KnownRoom, userId: number): Standing => {
  const member = members.get(userId)
  return { state, sequence, ...(room ? { room } : {}), ...(member ? { member } : {}) }
}
