import { noticeUserId } from '@im/contracts/user'
import { causedId } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { named, type SendDeps, sendMessages } from './send-messages.ts'

/** A message to a user's own devices (spec xmpp.md §6.3). */
export interface OwnNotice {
  userId: number
  type: 800 | 801 | 802
  /** The friend that 801 is about. */
  about?: number
  /** `sync_private_settings` … of 800, the jid of a room of 802. */
  objectId?: string
  /** Id of the room; 802 only. */
  fileName?: string
  /** Not sent when the user allows one device only. */
  onlyMultipleDevices: boolean
}

/** Sends a notice to all devices of a user. `cause` makes telling it again harmless: the id of an event. */
export async function sendNotice(
  deps: SendDeps & Pick<Deps, 'contacts'>,
  cause: string,
  { userId, type, about = userId, objectId, fileName, onlyMultipleDevices }: OwnNotice,
): Promise<void> {
  const { contacts } = deps
  const [owner, subject] = await Promise.all([contacts.of(userId), contacts.of(about)])
  if (!owner.exists || (onlyMultipleDevices && !owner.multipleDevices)) return
  const messageId = causedId(cause, type, objectId ?? '', userId)
  const people = { sender: named(owner), receiver: named(subject) }
  await sendMessages(deps, [{ to: userId, from: noticeUserId, type, messageId, ...people, objectId, fileName }])
}
