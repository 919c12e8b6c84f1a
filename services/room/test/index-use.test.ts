import {
  internalMemberships,
  internalRooms,
  replayedRooms,
  roomMembers,
  roomNotices,
  roomShares,
  rooms,
  waitingRooms,
} from '@im/contracts/room'
import { userDeleted, userRegistered, userUpdated } from '@im/contracts/user'
import { eventually, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { startRoom } from './start-room.ts'

test('every query the service sends uses an index', async (t) => {
  const service = await startRoom(t)
  const { api, internal, people, room, deps, publish } = service
  const queries = watchQueries(deps)
  const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
  const as = { as: alice }
  const account = { account: 'b', telephone: '', userType: 0, defaultFriends: [], registeredAt: 1 }
  await publish(userRegistered, dave, { ...account, userId: dave, nickname: 'dave' })
  await publish(userUpdated, dave, { userId: dave, nickname: 'd', account: 'b', updatedAt: 1 })
  const { id: roomId, jid } = await room(alice, [bob, carol, dave], { jid: 'a'.repeat(24) })
  await api.call(rooms.updateRoom, { roomId, roomName: 'n', notice: 'x', talkTime: 4e9 }, as)
  await api.call(rooms.getRoom, { roomId: jid }, as)
  await api.call(rooms.getRoomBriefly, { roomId }, as)
  await api.call(rooms.listRooms, { roomName: 'n' }, as)
  await api.call(rooms.listRooms, {}, as)
  await api.call(rooms.listOwnRooms, { type: 1 }, as)
  await api.call(rooms.copyRoom, { roomId }, as)
  await api.call(rooms.getCall, { roomId }, as)
  await api.call(roomMembers.setAdmin, { roomId, touserId: bob, type: 2 }, as)
  await api.call(roomMembers.setHiddenRole, { roomId, touserId: carol, type: 4 }, as)
  await api.call(roomMembers.updateMember, { roomId, userId: bob, nickname: 'b' } as never, as)
  await api.call(roomMembers.listMembers, { roomId, keyword: 'b' }, { as: bob })
  await api.call(roomMembers.pageMembers, { roomId, pageSize: 1 }, as)
  await api.call(roomMembers.pageMembers, { roomId, joinTime: 1, pageSize: 1 }, as)
  await api.call(roomMembers.getMember, { roomId, userId: bob }, as)
  await api.call(roomMembers.updateMember, { roomId, userId: carol, talkTime: 4e9 } as never, as)
  await api.call(roomMembers.leaveRoom, { roomId }, { as: carol })
  await api.call(roomMembers.joinRoom, { roomId }, { as: carol })
  await api.call(roomMembers.removeMember, { roomId, userId: carol }, as)
  const [notice] = await api.call(roomNotices.listNotices, { roomId }, as)
  const noticeId = notice?.id ?? ''
  await api.call(roomNotices.updateNotice, { roomId, noticeId, noticeContent: 'y' }, as)
  await api.call(roomNotices.deleteNotice, { roomId, noticeId }, as)
  const file = { roomId, type: 1, size: 1, url: 'u', name: 'n' }
  const { shareId } = await api.call(roomShares.addShare, file, as)
  await api.call(roomShares.findShares, { roomId, userId: alice, time: 4e9 }, as)
  await api.call(roomShares.findShares, { roomId }, as)
  await api.call(roomShares.getShare, { roomId, shareId }, as)
  await api.call(roomShares.deleteShare, { roomId, shareId }, as)
  const waiting = await api.call(waitingRooms.waitForOthers, { latitude: 1, longitude: 1, password: '1111' }, as)
  await api.call(waitingRooms.enterWaitingRoom, { jid: waiting.jid }, as)
  await api.call(waitingRooms.leaveWaitingRoom, { jid: waiting.jid }, as)
  await internal.call(internalRooms.getStandings, { pairs: [{ jid, userId: bob }] } as never)
  await internal.call(internalRooms.listRoomsOf, { userId: bob })
  await internal.call(replayedRooms.pageRooms, {})
  await internal.call(internalRooms.findSharedFiles, { names: ['a'.repeat(32)] })
  await internal.call(internalRooms.pageMembers, { roomId, after: 1 })
  await internal.call(internalMemberships.getMembership, { userId: bob, room: roomId })
  await internal.call(internalMemberships.setRoomLocked, { room: roomId, locked: 1 })
  await internal.call(internalMemberships.setRoomLocked, { room: roomId, locked: 0 })
  await api.call(rooms.transferRoom, { roomId, toUserId: bob }, as)
  await api.call(rooms.dissolveRoom, { roomId }, { as: bob })
  await publish(userDeleted, dave, { userId: dave, nickname: 'd', at: Date.now() })
  await eventually(async () => (await deps.members.everywhere(dave)).length === 0)
  for (const collection of ['rooms', 'members', 'notices', 'shares', 'mutes', 'waiting_rooms', 'counters', 'people'])
    t.ok(queries.collections().has(collection), collection)
  await queries.demandIndexes(t)
})
