import { createHash } from 'node:crypto'
import type { ProviderName } from '../providers/provider.ts'

/** Something that users are to be told of when they are not there. */
export interface Push {
  messageId: string
  /** `u:<low>:<high>` or `r:<jid>` */
  conversation: string
  from: number
  /** The receiver; absent where members of a room are told. */
  to?: number | undefined
  roomJid?: string | undefined
  contentType: number
  /** Seconds. */
  timeSend: number
  /** Milliseconds. */
  arrivedAt: number
  isEncrypt: boolean
  isReadDel?: boolean | undefined
  /** What it says and whom it names, where the message service need not be asked. */
  text?: string | undefined
  mentioned?: number[] | undefined
  mentionsAll?: boolean | undefined
  /** Only these members of the room are told. */
  receivers?: number[] | undefined
  /** The push that these receivers have missed: where it was told, this one takes its place. */
  shownAs?: string | undefined
  /** When that was found out (ms). */
  missedAt?: number | undefined
  /** Names for a room that may be gone when it is told of, and for who acted in it. */
  named?: { roomId: string; room: string; from: string } | undefined
  /** Only devices of this provider are told. */
  only?: ProviderName | undefined
  /** It takes the place of what was shown of these messages, on devices where something was. */
  withdraws?: string[] | undefined
}

/** A push in the queue, and after it as long as a recall may come. */
export interface PushDocument extends Push {
  _id: string
  /** When somebody looks at it next. Absent: nobody has to any more. */
  dueAt?: Date
  /** The replica that works on it: as long as it lives, or until `dueAt`. */
  claim?: string
  /** How often it was begun. */
  tries?: number
  /** Devices (`deviceKey`) that are to be tried again, and no others. */
  waiting?: string[]
  /** Devices that need nothing more, while others are under way. */
  done?: string[]
  /** Devices whose provider took it. */
  sent?: string[]
  /** It has raised the numbers on icons. */
  isCounted?: true
  /** Recalled: no further device is told. */
  isRecalled?: true
  expireAt: Date
}

/** Nobody is told of what is older than this (ms; spec xmpp.md §9). */
export const longestAge = 3_600_000
/** How long (ms) it is kept what was pushed to whom: so that nothing is pushed twice, and for recalls. */
const keptFor = 2 * longestAge

/** What a push is known by, here and on the device: 32 hex digits. The sender belongs to it: nobody replaces what another wrote. */
export const pushId = ({ conversation, messageId, from }: Pick<Push, 'conversation' | 'messageId' | 'from'>): string =>
  createHash('sha256')
    .update(JSON.stringify([conversation, messageId, from]))
    .digest('hex')
    .slice(0, 32)

export const newPush = (push: Push, dueAt: number): PushDocument => ({
  _id: pushId(push),
  ...push,
  dueAt: new Date(dueAt),
  expireAt: new Date(push.arrivedAt + keptFor),
})

/** What is told once more, to these receivers alone. `cause` makes doing it again harmless. */
export function pushAgain(
  { _id: shownAs, dueAt: _, claim: _claim, tries: _tries, expireAt, ...push }: Omit<PushDocument, 'sent'>,
  { receivers, cause, missedAt, dueAt }: { receivers: number[]; cause: string; missedAt: number; dueAt: number },
): PushDocument {
  const _id = createHash('sha256')
    .update(JSON.stringify([shownAs, cause]))
    .digest('hex')
    .slice(0, 32)
  return { ...push, _id, receivers, shownAs, missedAt, dueAt: new Date(dueAt), expireAt }
}

/** What a push is known by on devices. */
export const shownId = ({ _id, shownAs }: Pick<PushDocument, '_id' | 'shownAs'>): string => shownAs ?? _id

export const expiryOf = ({ arrivedAt }: Pick<Push, 'arrivedAt'>): number => arrivedAt + longestAge

/** A device within a push: short, because a large room has thousands. */
export const deviceKey = ({ userId, _id }: { userId: number; _id: string }): string => `${userId}:${_id.slice(0, 16)}`
export const userOfDevice = (key: string): number => Number(key.slice(0, key.indexOf(':')))
