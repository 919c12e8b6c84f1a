import { pairOf } from '@im/contracts/social'
import { ObjectId } from 'mongodb'

export type Status = 0 | 1 | 2
type Flag = 0 | 1

/** One side of what two users are to each other (spec 03-friends.md, Friends). Times are in seconds. */
export interface Relation {
  _id: ObjectId
  /** Both users: the same text on both sides. */
  pair: string
  /** The owner of the row. */
  userId: number
  toUserId: number
  status: Status
  /** The owner blocked the other. */
  blacklist: Flag
  /** The other blocked the owner: always what the other row says. */
  isBeenBlack: Flag
  remarkName: string
  describe: string
  createTime: number
  modifyTime: number
  chatRecordTimeOut: number
  offlineNoPushMsg: Flag
  isOpenSnapchat: Flag
  isOpenTopChat: Flag
  openTopChatTime: number
  fromAddType: number
}

/** The rows of two users about each other, seen from the one who acts. */
export interface Pair {
  own: Relation | undefined
  other: Relation | undefined
}

/** What a row needs when it is made. */
export interface NewRow {
  userId: number
  toUserId: number
  /** Of the owner's settings. */
  chatRecordTimeOut: number
  /** Seconds. */
  now: number
}

export const newRelation = ({ userId, toUserId, chatRecordTimeOut, now }: NewRow): Relation => ({
  _id: new ObjectId(),
  pair: pairOf(userId, toUserId),
  userId,
  toUserId,
  status: 0,
  blacklist: 0,
  isBeenBlack: 0,
  remarkName: '',
  describe: '',
  createTime: now,
  modifyTime: now,
  chatRecordTimeOut,
  offlineNoPushMsg: 0,
  isOpenSnapchat: 0,
  isOpenTopChat: 0,
  openTopChatTime: 0,
  fromAddType: 0,
})

/** A row with another status. One that begins to say something was made now, and in this way. */
export const withStatus = (row: Relation, status: Status, now: number, fromAddType: number): Relation =>
  row.status === 0 && status > 0 ? { ...row, status, createTime: now, fromAddType } : { ...row, status }

/** What is left of a row when the relation ends: only that its owner blocked the other. */
export const ended = (row: Relation | undefined): Relation | undefined =>
  row?.blacklist
    ? { ...newRelation({ ...row, now: row.createTime }), _id: row._id, blacklist: 1, modifyTime: row.modifyTime }
    : undefined

const saysSomething = ({ status, blacklist, remarkName, describe }: Relation) =>
  status > 0 || blacklist === 1 || remarkName !== '' || describe !== ''

const sameRow = (a: Relation, b: Relation) =>
  (Object.keys(a) as (keyof Relation)[]).every((key) => key === 'modifyTime' || a[key] === b[key])

/**
 * Brings a changed pair into order: each side knows whether the other blocked it, rows that say nothing are gone, and those that
 * differ from before have a new time.
 */
export function settled(before: Pair, { own, other }: Pair, now: number): Pair {
  const knowing = (row: Relation | undefined, peer: Relation | undefined, old: Relation | undefined) => {
    if (!row || !saysSomething(row)) return undefined
    const known = { ...row, isBeenBlack: peer?.blacklist ?? 0 }
    if (old && sameRow(old, known)) return old
    return { ...known, modifyTime: now }
  }
  return { own: knowing(own, other, before.own), other: knowing(other, own, before.other) }
}

export const isFriend = (pair: Pair) => pair.own?.status === 2 && pair.other?.status === 2
