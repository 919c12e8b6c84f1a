import type { Params } from '@im/contracts'
import type { search } from '@im/contracts/message'
import { roomConversation } from '../messages/conversations.ts'
import { timeRange } from '../messages/time-range.ts'
import { mostLate } from '../read/order-key.ts'
import type { JoinedRoom } from '../room-facts/joined-room.ts'
import { type Owner, ownerOfUser, ownersOf } from './owners.ts'
import type { RowReader } from './packed-rows.ts'

export type SearchParams = Params<(typeof search)['searchMessages']>

/** What the caller does not see of what the index holds. */
export interface Unseen {
  /** Messages (ids as hex) that were removed and may still be in the index. */
  removed: ReadonlySet<string>
  /** Up to when (seconds) the caller has cleared the chat with a peer. */
  clearedBefore: ReadonlyMap<number, number>
}

/** Which messages a search is about. */
export class SearchScope {
  /** Whose parts of the index it looks into. */
  readonly owners: readonly Owner[]
  readonly #caller: number
  readonly #params: SearchParams
  readonly #unseen: Unseen
  readonly #now: number
  /** Seconds; the first is in, the second is not. */
  readonly #from: number
  readonly #before: number
  /** When the caller joined, by the owner that stands for the room: what arrived before is not theirs, whenever it says it was sent. */
  readonly #rooms: ReadonlyMap<Owner, number>

  constructor(caller: number, params: SearchParams, joined: readonly JoinedRoom[], unseen: Unseen, now: number) {
    const { receiver, roomId } = params
    this.#caller = caller
    this.#params = params
    this.#unseen = unseen
    this.#now = now
    const range = timeRange(params)
    this.#from = range.from ?? Number.NEGATIVE_INFINITY
    this.#before = range.before ?? Number.POSITIVE_INFINITY
    const rooms = receiver === undefined ? joined : []
    this.#rooms = new Map(
      rooms
        .filter((room) => roomId === undefined || room.roomId === roomId || room.jid === roomId)
        .flatMap(({ jid, joinedAt }) => ownersOf(roomConversation(jid)).map((owner) => [owner, joinedAt] as const)),
    )
    this.owners = [...(roomId === undefined ? [ownerOfUser(caller)] : []), ...this.#rooms.keys()]
  }

  overlaps(owner: Owner, { minTime, maxTime }: { minTime: number; maxTime: number }): boolean {
    return maxTime >= Math.max(this.#from, this.#joinedAt(owner) - mostLate) && minTime < this.#before
  }

  /** Whether the caller sees this row of the index and it is one they look for, but for its text. */
  hasRow(owner: Owner, row: RowReader): boolean {
    const { fromUserId, contentType, receiver } = this.#params
    const { timeSend, ts, expireAt, from, to } = row
    const peer = to === 0 ? undefined : from === this.#caller ? to : from
    return (
      timeSend >= this.#from &&
      timeSend < this.#before &&
      ts >= Math.round(this.#joinedAt(owner) * 1000) &&
      (receiver === undefined || peer === receiver) &&
      (fromUserId === undefined || from === fromUserId) &&
      (contentType === undefined || row.contentType === contentType) &&
      expireAt > this.#now &&
      (peer === undefined || timeSend >= (this.#unseen.clearedBefore.get(peer) ?? 0)) &&
      !(this.#unseen.removed.size && this.#unseen.removed.has(row.hexId))
    )
  }

  #joinedAt(owner: Owner): number {
    return this.#rooms.get(owner) ?? Number.NEGATIVE_INFINITY
  }
}
