import { createHash } from 'node:crypto'
import { noticeUserId } from '@im/contracts/user'
import { type Outgoing, rowOf } from '../deliver/delivery.ts'
import { messageText } from '../deliver/stanza-text.ts'
import type { Deps } from '../deps.ts'
import { rowId } from '../mailbox/mailbox-repository.ts'
import { xmlJson } from './xml-json.ts'

/** A type 800 or 801 message to a user's own devices (spec xmpp.md §6.3). */
export interface OwnNotice {
  userId: number
  type: 800 | 801
  /** `sync_private_settings` …; 800 only. */
  objectId?: string
  /** Not sent when the user allows one device only. */
  onlyMultipleDevices: boolean
}

/**
 * Sends a notice to all devices of a user. Resolves when it stands in the mailbox, so that it can't be lost; the first device
 * that confirms it takes it out. `cause` makes telling it again harmless: the id of an event.
 */
export async function sendNotice(
  { contacts, config, deliverer, mailbox, now }: Pick<Deps, 'contacts' | 'config' | 'deliverer' | 'mailbox' | 'now'>,
  cause: string,
  notice: OwnNotice,
): Promise<void> {
  const { userId, type, objectId, onlyMultipleDevices } = notice
  const contact = await contacts.of(userId)
  if (!contact.exists || (onlyMultipleDevices && !contact.multipleDevices)) return
  // Apps know doubles by the id.
  const messageId = createHash('md5')
    .update(`${cause}:${type}:${objectId ?? ''}`)
    .digest('hex')
  const at = now()
  const user = String(userId)
  const name = contact.nickname || user
  const body = xmlJson({
    type,
    messageId,
    fromUserId: user,
    fromUserName: name,
    toUserId: user,
    toUserName: name,
    content: '',
    timeSend: Math.floor(at / 1000),
    ...(objectId === undefined ? {} : { objectId }),
  })
  const from = `${noticeUserId}@${config.xmppDomain}`
  const outgoing: Outgoing = {
    user: userId,
    from: noticeUserId,
    messageId,
    at,
    seq: 0,
    text: messageText({ from, id: messageId, type: 'chat', body, wantsReceipt: false }),
    id: messageId,
    waits: 'month',
    audience: { kind: 'available' },
  }
  const row = rowOf(rowId(userId, noticeUserId, messageId), outgoing, false)
  deliverer.rowsBegin([userId])
  try {
    await mailbox.apply([{ kind: 'put', row }])
    deliverer.deliver(outgoing, { hasRow: true, settled() {} })
  } finally {
    deliverer.rowsEnd([userId])
  }
}
