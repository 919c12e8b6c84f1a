import type { Payload } from '@im/contracts'
import type { contactRegistered, fanRemoved, friendRequested, userErased } from '@im/contracts/social'
import { internalRelations } from '@im/contracts/social'
import { firstUserId, noticeUserId } from '@im/contracts/user'
import { causedId } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { type Named, named, type SendDeps, type ServerMessage, sendMessages } from './send-messages.ts'

type NoticeDeps = SendDeps & Pick<Deps, 'contacts'>

/** Friends of one part of a notice to all. */
const friendsAtOnce = 500
const removedText = '后台管理员解除了你们好友关系'
/** The sender of notices is no user whom the user service knows by another name. */
const noticeSender: Named = { userId: noticeUserId, name: '系统通知' }

/** Type 500 in the name of the user who asked many at once (spec 03-friends.md, batchAdd). */
export async function sendRequest(
  deps: NoticeDeps,
  cause: string,
  { userId, toUserId }: Payload<typeof friendRequested>,
): Promise<void> {
  const [sender, receiver] = await Promise.all([deps.contacts.of(userId), deps.contacts.of(toUserId)])
  if (!sender.exists || !receiver.exists) return
  const messageId = causedId(cause, 500)
  const people = { sender: named(sender), receiver: named(receiver) }
  await sendMessages(deps, [{ to: toUserId, from: userId, type: 500, messageId, ...people }])
}

/** Type 505 in the name of the account that removed a fan. */
export async function tellFanRemoved(
  deps: NoticeDeps,
  cause: string,
  { userId, toUserId }: Payload<typeof fanRemoved>,
): Promise<void> {
  const [sender, receiver] = await Promise.all([deps.contacts.of(userId), deps.contacts.of(toUserId)])
  if (!receiver.exists) return
  const messageId = causedId(cause, 505)
  const people = { sender: named(sender), receiver: named(receiver) }
  await sendMessages(deps, [{ to: toUserId, from: userId, type: 505, messageId, ...people }])
}

/** Type 511: somebody in the address book of each of these users has registered. */
export async function tellContactRegistered(
  deps: NoticeDeps,
  cause: string,
  { userId, nickname, telephone, owners }: Payload<typeof contactRegistered>,
): Promise<void> {
  const receivers = await Promise.all(owners.map((owner) => deps.contacts.of(owner.userId)))
  const sender: Named = { userId, name: nickname || String(userId) }
  await sendMessages(
    deps,
    owners.flatMap((owner, n) => {
      const receiver = receivers[n]!
      if (!receiver.exists) return []
      const row = { telephone: owner.telephone, toTelephone: telephone, toUserId: userId, toUserName: nickname }
      const content = JSON.stringify({ ...row, userId: owner.userId })
      const messageId = causedId(cause, 511, owner.userId)
      return { to: owner.userId, from: userId, type: 511, messageId, sender, receiver: named(receiver), content }
    }),
  )
}

/** Type 512: a user was removed; each friend is told. */
export async function tellErased(
  deps: NoticeDeps,
  cause: string,
  { userId, friends }: Payload<typeof userErased>,
): Promise<void> {
  const receivers = await Promise.all(friends.map((friend) => deps.contacts.of(friend)))
  await sendMessages(
    deps,
    receivers.filter(({ exists }) => exists).map((receiver) => erasure(cause, userId, named(receiver))),
  )
}

/** The removed user is told, too: whichever of their devices is there. */
export async function tellOwnErasure(
  deps: NoticeDeps,
  cause: string,
  { userId, nickname }: { userId: number; nickname: string },
): Promise<void> {
  await sendMessages(deps, [erasure(cause, userId, { userId, name: nickname || String(userId) })])
}

const erasure = (cause: string, erased: number, receiver: Named): ServerMessage => ({
  to: receiver.userId,
  from: noticeUserId,
  type: 512,
  messageId: causedId(cause, 512, receiver.userId),
  sender: noticeSender,
  receiver,
  content: removedText,
  objectId: String(erased),
})

/** Type 803: all friends fetch the new message keys of a user. */
export async function tellKeysChanged(
  deps: NoticeDeps & Pick<Deps, 'social'>,
  cause: string,
  userId: number,
): Promise<void> {
  const sender = named(await deps.contacts.of(userId))
  for (let after: number | undefined, isLast = false; !isLast; ) {
    const asked = { userId, after, pageSize: friendsAtOnce }
    const { userIds } = await deps.social.call(internalRelations.pageFriendIds, asked)
    const friends = await Promise.all(userIds.map((friend) => deps.contacts.of(friend)))
    await sendMessages(
      deps,
      friends
        .filter((friend) => friend.exists && friend.userId >= firstUserId)
        .map((friend) => ({
          ...{ to: friend.userId, from: noticeUserId, type: 803, content: 'dhPublicKey,rsaPublicKey' },
          ...{ messageId: causedId(cause, 803, friend.userId), sender, receiver: named(friend) },
        })),
    )
    after = userIds.at(-1)
    isLast = userIds.length < friendsAtOnce
  }
}
