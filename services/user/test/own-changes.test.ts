import { isDeepStrictEqual } from 'node:util'
import { memberChanged, membersJoined, roomDissolved } from '@im/contracts/room'
import { blacklistChanged, friendChanged, friendRowChanged, labelChanged, userErased } from '@im/contracts/social'
import { ownChanges } from '@im/contracts/user'
import { eventPublisher, eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

const roomOf = (roomId: string) => ({
  roomId,
  jid: 'a'.repeat(32),
  name: 'room',
  ownerId: 1,
  locked: 0 as const,
  talkTime: 0,
  isAttritionNotice: 0 as const,
  showRead: 0 as const,
  isLook: 0 as const,
  isNeedVerify: 0 as const,
  showMember: 1 as const,
  allowSendCard: 1 as const,
  allowInviteFriend: 1 as const,
  allowUploadFile: 1 as const,
  allowConference: 1 as const,
  allowSpeakCourse: 1 as const,
  maxUserSize: 100,
  chatRecordTimeOut: -1,
})
const memberOf = (userId: number) => ({ userId, name: 'n', role: 3, talkTime: 0, joinedAt: 1 })

test('devices that were away learn what changed in the lists of their user', async (t) => {
  const { api, person, env } = await startUser(t)
  const alice = await person('alice')
  const bob = await person('bob')
  const publish = eventPublisher(t, env)
  const seconds = 1_750_000_000
  const at = (after: number) => (seconds + after) * 1000
  const pair = { userId: alice.userId, toUserId: bob.userId }
  const key = `${alice.userId}:${bob.userId}`
  const row = { remarkName: 'b', offlineNoPushMsg: 0, isOpenSnapchat: 0, isOpenTopChat: 1, chatRecordTimeOut: -1 }
  const changed = { ...pair, status: 2, toStatus: 2, how: 'befriended' }
  await publish(friendChanged, key, { ...changed, at: at(1) })
  await publish(blacklistChanged, key, { ...pair, blocked: true, at: at(2) })
  await publish(friendRowChanged, key, { ...pair, ...row, at: at(5) })
  await publish(labelChanged, alice.userId, { userId: alice.userId, at: at(3) })
  await publish(userErased, 99, { userId: 99, friends: [alice.userId], at: at(4) })
  const [first, second] = ['1'.repeat(24), '2'.repeat(24)]
  const by = { userId: bob.userId, name: 'bob' }
  const people = [memberOf(alice.userId), memberOf(bob.userId)]
  await publish(membersJoined, first, { room: roomOf(first), by, members: people, at: at(6) })
  await publish(memberChanged, first, {
    ...{ room: roomOf(first), by, member: memberOf(alice.userId), roleBefore: 3, changed: ['nickname'] },
    at: at(7),
  })
  await publish(roomDissolved, second, { room: roomOf(second), by, memberIds: [alice.userId], at: at(8) })

  const listOf = async (who: typeof alice, offlineTime?: number) =>
    (await api.call(ownChanges.listOwnChanges, { offlineTime }, { as: who.caller })).map(
      ({ tag, friendId, operationTime }) => `${tag} ${friendId} ${operationTime - seconds}`,
    )
  const all = ['label  3', 'friend 99 4', `friend ${bob.userId} 5`, `room ${first} 7`, `room ${second} 8`]
  // Events about different people and rooms are handled beside each other.
  await eventually(async () => isDeepStrictEqual(await listOf(alice), all)).catch(() => {})
  t.strictSame(await listOf(alice), all, 'one row each, the latest')
  t.strictSame(await listOf(alice, seconds + 5), all.slice(2))
  t.strictSame(await listOf(alice, (seconds + 7) * 1000), all.slice(3), 'milliseconds, too')
  t.strictSame(await listOf(bob), [`friend ${alice.userId} 2`, `room ${first} 6`])
})
