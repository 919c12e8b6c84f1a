import { noticeUserId } from '@im/contracts/user'
import { causedId } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { named, type SendDeps, type ServerMessage, sendMessages } from './send-messages.ts'

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

type NoticeDeps = SendDeps & Pick<Deps, 'contacts'>

/** Users of one transaction. */
const usersAtOnce = 500

/** Sends a notice to all devices of a user. `cause` makes telling it again harmless: the id of an event. */
export const sendNotice = (deps: NoticeDeps, cause: string, notice: OwnNotice): Promise<void> =>
  sendNotices(deps, cause, [notice])

/** The same to many users, some hundred of them with one write. */
export async function sendNotices(deps: NoticeDeps, cause: string, notices: readonly OwnNotice[]): Promise<void> {
  for (let at = 0; at < notices.length; at += usersAtOnce) {
    const some = notices.slice(at, at + usersAtOnce)
    const messages = await Promise.all(some.map((notice) => messageFor(deps, cause, notice)))
    await sendMessages(
      deps,
      messages.flatMap((message) => message ?? []),
    )
  }
}

/** Undefined when nobody is to be told. */
async function messageFor(
  { contacts }: Pick<Deps, 'contacts'>,
  cause: string,
  { userId, type, about = userId, objectId, fileName, onlyMultipleDevices }: OwnNotice,
): Promise<ServerMessage | undefined> {
  const [owner, subject] = await Promise.all([contacts.of(userId), contacts.of(about)])
  if (!owner.exists || (onlyMultipleDevices && !owner.multipleDevices)) return undefined
  const messageId = causedId(cause, type, objectId ?? '', userId)
  const people = { sender: named(owner), receiver: named(subject) }
  return { to: userId, from: noticeUserId, type, messageId, ...people, objectId, fileName }
}
