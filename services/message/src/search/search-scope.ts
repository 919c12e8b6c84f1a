import type { Params } from '@im/contracts'
import type { search } from '@im/contracts/message'
import { roomConversation, singleConversation, usersOf } from '../archive/conversations.ts'
import { timeRange } from '../archive/time-range.ts'
import type { RowReader } from './packed-rows.ts'

/** A room the caller is in. */
export interface JoinedRoom {
  roomId: string
  jid: string
  /** Messages before this moment (seconds) are not his. */
  joinedAt: number
}

export type SearchParams = Params<(typeof search)['searchMessages']>

/** Which part of the index a search looks into: documents by their conversation or by a user of it. */
export type Owner = { users: number } | { conversation: string | { $in: string[] } }

/** Which messages a search is about. */
export class SearchScope {
  readonly owners: Owner[]
  /** Seconds; `from` is in, `before` is not. */
  readonly from: number
  readonly before: number
  readonly #caller: number
  readonly #params: SearchParams
  readonly #now: number
  /** The single chat it is limited to. A message to oneself is never archived. */
  readonly #chat: string | undefined
  /** When the caller joined, by conversation. */
  readonly #rooms: ReadonlyMap<string, number>

  constructor(caller: number, params: SearchParams, joined: readonly JoinedRoom[], now: number) {
    const { receiver, roomId } = params
    this.#caller = caller
    this.#params = params
    this.#now = now
    this.#chat = receiver === undefined ? undefined : singleConversation(caller, receiver)
    this.#rooms = new Map(
      receiver === undefined
        ? joined
            .filter((room) => roomId === undefined || room.roomId === roomId || room.jid === roomId)
            .map(({ jid, joinedAt }) => [roomConversation(jid), joinedAt])
        : [],
    )
    const range = timeRange(params)
    this.from = range.from ?? Number.NEGATIVE_INFINITY
    this.before = range.before ?? Number.POSITIVE_INFINITY
    this.owners = []
    if (this.#chat !== undefined) this.owners.push({ conversation: this.#chat })
    else if (roomId === undefined) this.owners.push({ users: caller })
    if (this.#rooms.size) this.owners.push({ conversation: { $in: [...this.#rooms.keys()] } })
  }

  /** Parts of the index that overlap the range of time. */
  get overlapping() {
    return {
      ...(Number.isFinite(this.from) ? { maxTime: { $gte: this.from } } : {}),
      ...(Number.isFinite(this.before) ? { minTime: { $lt: this.before } } : {}),
    }
  }

  overlaps(conversation: string, { minTime, maxTime }: { minTime: number; maxTime: number }): boolean {
    return maxTime >= this.#from(conversation) && minTime < this.before
  }

  hasConversation(conversation: string): boolean {
    if (this.#chat !== undefined) return conversation === this.#chat
    if (this.#rooms.has(conversation)) return true
    return this.#params.roomId === undefined && (usersOf(conversation)?.includes(this.#caller) ?? false)
  }

  hasRow(conversation: string, { timeSend, from, contentType, expireAt }: RowReader): boolean {
    const { fromUserId, contentType: type } = this.#params
    return (
      timeSend >= this.#from(conversation) &&
      timeSend < this.before &&
      (fromUserId === undefined || from === fromUserId) &&
      (type === undefined || contentType === type) &&
      expireAt > this.#now
    )
  }

  #from(conversation: string): number {
    return Math.max(this.from, this.#rooms.get(conversation) ?? Number.NEGATIVE_INFINITY)
  }
}
