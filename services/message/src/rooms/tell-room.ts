import { messageType } from '@im/contracts/message'
import type { RoomState } from '@im/contracts/room'
import { noticeUserId } from '@im/contracts/user'
import { causedId } from '@im/service-kit'
import { ObjectId } from 'mongodb'
import { archiveBatch } from '../archive/archive-batch.ts'
import { roomsDomain } from '../config.ts'
import type { Deps } from '../deps.ts'
import { roomConversation } from '../messages/conversations.ts'
import type { MessageDocument } from '../messages/message-document.ts'
import { keepAndDeliver } from '../notices/send-messages.ts'
import { xmlJson } from '../notices/xml-json.ts'
import { messageText } from '../stanzas/stanza-text.ts'
import type { Outgoing } from '../streams/delivery.ts'
import type { RoomNotice } from './room-events.ts'
import { roomAddress, saidText } from './room-stanzas.ts'

/** What caused notices: telling it again makes the same messages. */
export interface Cause {
  /** Of the event. */
  id: string
  /** When it happened, in ms. */
  at: number
  jid: string
  roomId: string
}

/** Users of one write. */
const usersAtOnce = 500
/** Notices of one transaction. */
const noticesAtOnce = 200

interface Told {
  messageId: string
  body: string
}

/** The message of a notice: one text and one id, by whichever way it goes. */
function messageOf(notice: RoomNotice, { id, at, jid, roomId }: Cause): Told {
  const { type, key, by, to, content, objectId = jid, fileName = roomId, fileSize, other } = notice
  const messageId = causedId(id, type, key)
  const body = xmlJson({
    type,
    messageId,
    fromUserId: String(by.userId),
    fromUserName: by.name,
    toUserId: to ? String(to.userId) : jid,
    toUserName: to?.name ?? '',
    content,
    timeSend: Math.floor(at / 1000),
    objectId,
    fileName,
    ...(fileSize === undefined ? {} : { fileSize }),
    ...(other === undefined ? {} : { other }),
  })
  return { messageId, body }
}

/**
 * Tells the chat copies of notices: from 10005, because apps take their own address for another device of theirs. Resolves
 * when they stand in the mailboxes; one goes when the devices that are there have confirmed it.
 */
export async function tellMembers(deps: Deps, notices: readonly RoomNotice[], cause: Cause): Promise<void> {
  const { config, roomFacts } = deps
  const from = `${noticeUserId}@${config.xmppDomain}`
  const waiting: Outgoing[] = []
  for (const notice of notices) {
    const { messageId, body } = messageOf(notice, cause)
    const text = messageText({ from, id: messageId, type: 'chat', body, wantsReceipt: false })
    const add = (users: readonly number[]) => {
      for (const user of users)
        waiting.push({
          ...{ user, from: noticeUserId, messageId, at: cause.at, seq: 0, text, id: messageId },
          ...{ waits: 'month', audience: { kind: 'available' } },
        })
    }
    if (notice.chatTo === 'all members') for await (const users of roomFacts.membersOf(cause.roomId)) add(users)
    else add(notice.chatTo)
  }
  while (waiting.length) await keepAndDeliver(deps, waiting.splice(0, usersAtOnce))
}

/**
 * Says notices in the room: they stand in the history like any message, sent by 10005, and all who have joined get them. Never
 * from a member's own nick: apps would take it for an echo.
 */
export async function tellRoom(deps: Deps, notices: readonly RoomNotice[], cause: Cause): Promise<void> {
  const { config, roomFanOut } = deps
  const { jid } = cause
  const room = roomAddress(roomsDomain(config), jid)
  for (let at = 0; at < notices.length; at += noticesAtOnce) {
    const told = notices.slice(at, at + noticesAtOnce).map((notice) => ({ notice, ...messageOf(notice, cause) }))
    const entries = told.map((one) => {
      const store = documentOf(one, cause, { room, sender: `${noticeUserId}@${config.xmppDomain}` })
      return { tap: store.tap, store }
    })
    const outcomes = await archiveBatch(deps, entries)
    const said = told.map(({ messageId, body }, index) => {
      if (outcomes[index] === 'gone') return undefined
      const text = saidText(`${room}/${noticeUserId}`, { id: messageId, body, wantsReceipt: false })
      return roomFanOut.sent({ kind: 'say', jid, text, at: cause.at, from: noticeUserId, id: messageId })
    })
    await Promise.all(said)
  }
}

const documentOf = (
  { notice, messageId, body }: Told & { notice: RoomNotice },
  { jid, at, id }: Cause,
  { room, sender }: { room: string; sender: string },
): MessageDocument => ({
  _id: new ObjectId(),
  conversation: roomConversation(jid),
  roomJid: jid,
  messageId,
  from: noticeUserId,
  fromJid: sender,
  toJid: room,
  nickname: notice.by.name,
  toName: notice.to?.name ?? '',
  body,
  contentType: notice.type,
  content: notice.content,
  timeSend: Math.floor(at / 1000),
  ts: at,
  deleteTime: -1,
  isEncrypt: false,
  isRead: false,
  deletedFor: [],
  searchable: messageType(notice.type).searched,
  tap: `room-${jid}:${id}`,
})

export const causeOf = ({ roomId, jid }: Pick<RoomState, 'roomId' | 'jid'>, id: string, at: number): Cause => ({
  id,
  at,
  jid,
  roomId,
})
