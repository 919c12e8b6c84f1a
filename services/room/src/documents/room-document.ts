import { randomBytes } from 'node:crypto'
import type { RoomFields } from '@im/contracts/room'
import { ObjectId } from 'mongodb'

/** A notice as it is stored, in the collection of notices and as the current one in its room. */
export interface NoticeDocument {
  _id: string
  roomId: string
  text: string
  userId: number
  nickname: string
  /** Seconds. */
  time: number
  modifyTime: number
}

export interface RoomDocument extends RoomFields {
  /** 24 hex digits, all of them random: who knows the id of a room may join it. */
  _id: string
  /** Local part of the room's XMPP address. */
  jid: string
  /** Numbers for conferences. */
  call: string
  videoMeetingNo: string
  /** The owner. */
  userId: number
  /** Members, those in hidden roles included. */
  userSize: number
  /** Members in roles 4 and 5. */
  hiddenSize: number
  adminSize: number
  /** Seconds. */
  createTime: number
  modifyTime: number
  /** Who changed it last. */
  modifier: number
  /** -1: locked by the console. */
  s: 1 | -1
  /** Only the owner and admins may speak until then (seconds); 0: everybody may. */
  talkTime: number
  notice?: NoticeDocument
  /** Seconds. A dissolved room keeps its row: its jid is not used again, and its members' apps are told that it is gone. */
  dissolvedAt?: number
}

export const newRoomId = (): string => randomBytes(12).toString('hex')
/** Of what is in a room. Ids that are made later are greater, so they tell the order within a second. */
export const newId = (): string => new ObjectId().toHexString()
export const newJid = (): string => randomBytes(16).toString('hex')

/** A mute that ends in the past is none. */
export const untilOf = (time: number, now: number): number => (time > now ? time : 0)
