import {
  blacklistChanged,
  contactRegistered,
  fanRemoved,
  friendChanged,
  friendRequested,
  friendRowChanged,
  labelChanged,
  userErased,
} from '@im/contracts/social'
import {
  messageKeysChanged,
  passwordReplaced,
  payPasswordChanged,
  sessionRevoked,
  settingsChanged,
  userDeleted,
  userLocked,
  userUpdated,
} from '@im/contracts/user'
import { type EventHandler, on } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { hideChat } from './inbox/hide-chat.ts'
import {
  sendRequest,
  tellContactRegistered,
  tellErased,
  tellFanRemoved,
  tellKeysChanged,
  tellOwnErasure,
} from './notices/friend-notices.ts'
import { sendNotice } from './notices/send-notice.ts'
import { roomEventHandlers } from './rooms/event-handlers.ts'

/** What other services' events make this one do. */
export function eventHandlers(deps: Deps): EventHandler[] {
  const { config, streamCloser, now } = deps
  /** The clock of the user service may be ahead of ours, and nothing waits for that. */
  const heardAt = (at: number) => Math.min(at, now())
  const afterGrace = (at: number) => heardAt(at) + config.streamGraceMs
  return [
    ...roomEventHandlers(deps),
    on(settingsChanged, ({ userId }, { id }) =>
      sendNotice(deps, id, { userId, type: 800, objectId: 'sync_private_settings', onlyMultipleDevices: true }),
    ),
    on(userUpdated, ({ userId }, { id }) => sendNotice(deps, id, { userId, type: 801, onlyMultipleDevices: true })),
    on(payPasswordChanged, ({ userId }, { id }) =>
      sendNotice(deps, id, { userId, type: 800, objectId: 'sync_pay_password', onlyMultipleDevices: true }),
    ),
    on(messageKeysChanged, async ({ userId }, { id }) => {
      await sendNotice(deps, id, { userId, type: 801, onlyMultipleDevices: true })
      await tellKeysChanged(deps, id, userId)
    }),
    on(friendRowChanged, ({ userId, toUserId }, { id }) =>
      sendNotice(deps, id, { userId, type: 801, about: toUserId, onlyMultipleDevices: true }),
    ),
    on(labelChanged, ({ userId }, { id }) =>
      sendNotice(deps, id, { userId, type: 800, objectId: 'sync_label', onlyMultipleDevices: true }),
    ),
    on(friendRequested, (requested, { id }) => sendRequest(deps, id, requested)),
    on(fanRemoved, (removed, { id }) => tellFanRemoved(deps, id, removed)),
    on(contactRegistered, (registered, { id }) => tellContactRegistered(deps, id, registered)),
    on(userErased, (erased, { id }) => tellErased(deps, id, erased)),
    on(friendChanged, async ({ userId, toUserId, how, at }) => {
      if (how === 'deleted') await hideChat(deps, [userId, toUserId], [userId, toUserId], at)
    }),
    on(blacklistChanged, async ({ userId, toUserId, blocked, at }) => {
      if (blocked) await hideChat(deps, [userId, toUserId], [userId], at)
    }),
    on(passwordReplaced, async ({ userId, version, at }, { id }) => {
      // The devices are told first why their streams close.
      await sendNotice(deps, id, { userId, type: 800, objectId: 'sync_login_password', onlyMultipleDevices: false })
      const closeAt = afterGrace(at)
      await streamCloser.revoke(userId, [{ _id: `p:${userId}`, version, text: 'password changed', closeAt }])
    }),
    on(sessionRevoked, async ({ userId, sessionIds, reason, at }) => {
      // Who refreshes a token stays logged in.
      if (reason === 'refresh') return
      const isToldBefore = reason === 'password' || reason === 'deleted'
      const closeAt = isToldBefore ? afterGrace(at) : heardAt(at)
      const text = `session ended: ${reason}`
      await streamCloser.revoke(
        userId,
        sessionIds.map((id) => ({ _id: `t:${id}`, text, closeAt })),
      )
    }),
    on(userLocked, async ({ userId, locked, at }) => {
      if (!locked) return await streamCloser.restore(userId)
      await streamCloser.revoke(userId, [{ _id: `u:${userId}`, text: 'account locked', closeAt: heardAt(at) }])
    }),
    on(userDeleted, async ({ userId, nickname, at }, { id }) => {
      await deps.fileRemovals.addUser(userId)
      await tellOwnErasure(deps, id, { userId, nickname })
      const closeAt = afterGrace(at)
      await streamCloser.revoke(userId, [{ _id: `u:${userId}`, text: 'account deleted', closeAt }])
    }),
  ]
}
