import { Type } from 'typebox'
import { event } from '../events.ts'
import { Milliseconds, UnixSeconds } from '../result-types.ts'

const userId = Type.Integer({ minimum: 1 })

export const userRegistered = event(
  'user.registered.v1',
  'An account was made',
  Type.Object({
    userId,
    nickname: Type.String(),
    account: Type.String(),
    telephone: Type.String({ description: 'area code + number' }),
    userType: Type.Integer(),
    defaultFriends: Type.Array(userId, {
      description: 'accounts that become friends of every new user, besides 10000',
    }),
    registeredAt: UnixSeconds(),
  }),
)

export const userUpdated = event(
  'user.updated.v1',
  'Public fields of an account changed',
  Type.Object({ userId, nickname: Type.String(), account: Type.String(), updatedAt: Milliseconds() }),
)

/** Whoever keeps numbers asks who has them now. */
export const telephoneChanged = event(
  'user.telephone-changed.v1',
  'An account has another telephone',
  Type.Object({ userId, at: Milliseconds() }),
)

export const userLocked = event(
  'user.locked.v1',
  'An account was locked or unlocked',
  Type.Object({ userId, locked: Type.Boolean(), at: Milliseconds() }),
)

/** Whoever keeps something of the user removes it. What others hold of them, such as messages, stays. */
export const userDeleted = event(
  'user.deleted.v1',
  'An account was deleted; its userId is never used again',
  Type.Object({ userId, nickname: Type.String({ description: 'the last one' }), at: Milliseconds() }),
)

/** It is also broadcast as a plain NATS message, and every gateway drops the sessions from its cache at once. */
export const sessionRevoked = event(
  'session.revoked.v1',
  'Sessions ended: logout, another login of the device class, password change, lock',
  Type.Object({
    userId,
    sessionIds: Type.Array(Type.String(), {
      description: 'SHA-256 hex of the access tokens, then the families of refresh tokens that ended with them',
    }),
    devices: Type.Array(Type.String(), { description: 'device classes, in the order of sessionIds' }),
    reason: Type.String({ description: 'logout, login, password, locked, refresh, revoked, deleted' }),
    at: Milliseconds(),
  }),
)

export const sessionOpened = event(
  'session.opened.v1',
  'A user logged in',
  Type.Object({ userId, device: Type.String({ description: 'device class' }), at: Milliseconds() }),
)

export const passwordChanged = event(
  'password.changed.v1',
  'A login password was updated or reset',
  Type.Object({ userId, at: Milliseconds() }),
)

/** The version tells XMPP streams that were opened with an older password from those opened with the new one. */
export const passwordReplaced = event(
  'password.changed.v2',
  'A login password was updated or reset',
  Type.Object({
    userId,
    version: Type.Integer({ description: 'of the new password; older ones are void' }),
    at: Milliseconds(),
  }),
)

export const payPasswordChanged = event(
  'password.pay-changed.v1',
  'A pay password was set or changed',
  Type.Object({ userId, at: Milliseconds() }),
)

/** Friends fetch the new keys; nobody needs to know what they are. */
export const messageKeysChanged = event(
  'user.keys-changed.v1',
  'A user replaced the public keys that friends encrypt messages with',
  Type.Object({ userId, at: Milliseconds() }),
)

export const doNotDisturbChanged = event(
  'settings.do-not-disturb-changed.v1',
  'A user switched all push notifications off or on',
  Type.Object({ userId, offlineNoPushMsg: Type.Integer({ description: '1: off' }), at: Milliseconds() }),
)

export const settingsChanged = event(
  'settings.changed.v1',
  'Private settings changed',
  Type.Object({
    userId,
    changed: Type.Array(Type.String(), { description: 'names of the fields' }),
    multipleDevices: Type.Integer(),
    allowGreet: Type.Integer(),
    at: Milliseconds(),
  }),
)

/** Who needs the values asks for them (`/internal/config`). */
export const configChanged = event(
  'config.changed.v1',
  'Values of the configuration changed',
  Type.Object({ changed: Type.Array(Type.String(), { description: 'names of the values' }), at: Milliseconds() }),
)
