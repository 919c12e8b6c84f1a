import type { Endpoint, ErrorName } from '@im/contracts'
import { errors } from '@im/contracts'
import { roomMembers, roomNotices, roomShares, rooms, waitingRooms } from '@im/contracts/room'
import { test } from 'tap'
import { newJid, startRoom } from './start-room.ts'

test('what cannot be right is refused by its name, and nothing is stored', async (t) => {
  const { api, people, room, deps } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const { id: roomId } = await room(alice, [bob])
  const rows = async () => {
    const found = await Promise.all(
      ['rooms', 'members', 'notices', 'shares'].map((name) => deps.db.collection(name).find().toArray()),
    )
    return JSON.stringify(found)
  }
  const before = await rows()
  const refused: [ErrorName, Endpoint, object][] = [
    ['InvalidParams', rooms.addRoom, { name: 'x'.repeat(10_000) }],
    ['InvalidParams', rooms.addRoom, { name: '\u200b\u202e' }],
    ['RequestTooLarge', rooms.addRoom, { desc: 'x'.repeat(66_000) }],
    ['InvalidParams', rooms.addRoom, { jid: '../etc' }],
    ['InvalidParams', rooms.addRoom, { jid: 'a b' }],
    ['InvalidParams', rooms.addRoom, { jid: 'a'.repeat(65) }],
    ['InvalidParams', rooms.addRoom, { showRead: 2 }],
    ['InvalidParams', rooms.addRoom, { latitude: 91 }],
    ['InvalidParams', rooms.addRoom, { room: '[]' }],
    ['InvalidParams', rooms.addRoom, { text: '["a"]' }],
    ['InvalidParams', rooms.addRoom, { text: '[{"$ne":1}]' }],
    ['InvalidParams', rooms.addRoom, { text: Array.from({ length: 1001 }, (_, n) => n + 1).join() }],
    ['InvalidParams', rooms.addRoom, { category: 2 ** 31 }],
    ['MissingParam', rooms.updateRoom, { roomName: 'x' }],
    ['RoomNotFound', rooms.updateRoom, { roomId: '"};--', roomName: 'x' }],
    ['RoomNotFound', rooms.updateRoom, { roomId: '0', roomName: 'x' }],
    ['InvalidParams', rooms.updateRoom, { roomId, showMember: 7 }],
    ['InvalidParams', rooms.updateRoom, { roomId, notice: 'x'.repeat(2001) }],
    ['InvalidParams', rooms.updateRoom, { roomId, talkTime: 'tomorrow' }],
    ['InvalidParams', rooms.updateRoom, { roomId, talkTime: -5 }],
    ['InvalidParams', rooms.updateRoom, { roomId, chatRecordTimeOut: 1e9 }],
    ['InvalidParams', rooms.updateRoom, { roomId, maxUserSize: '1e400' }],
    ['MissingParam', rooms.transferRoom, { roomId }],
    ['InvalidParams', rooms.transferRoom, { roomId, toUserId: -1 }],
    ['InvalidParams', rooms.listOwnRooms, { type: 3 }],
    ['InvalidParams', roomMembers.updateMember, { roomId, nickname: 'x'.repeat(33) }],
    ['InvalidParams', roomMembers.updateMember, { roomId, talkTime: -1, userId: bob }],
    ['MissingParam', roomMembers.removeMember, { roomId }],
    ['InvalidParams', roomMembers.removeMember, { roomId, userId: '10000002 or 1=1' }],
    ['InvalidParams', roomMembers.setAdmin, { roomId, touserId: bob, type: 4 }],
    ['InvalidParams', roomMembers.setHiddenRole, { roomId, touserId: bob, type: 3 }],
    ['InvalidParams', roomMembers.setOwnSwitch, { roomId, offlineNoPushMsg: 1, type: 2 }],
    ['NoticeNotFound', roomNotices.updateNotice, { roomId, noticeId: '1', noticeContent: 'x' }],
    ['InvalidParams', roomNotices.updateNotice, { roomId, noticeId: 'f'.repeat(24), noticeContent: '\u200b' }],
    ['InvalidParams', roomShares.addShare, { roomId, type: 11, size: 1, url: 'u', name: 'n' }],
    ['InvalidParams', roomShares.addShare, { roomId, type: 1, size: -1, url: 'u', name: 'n' }],
    ['InvalidParams', waitingRooms.waitForOthers, { latitude: 1, longitude: 1, password: '12345' }],
    ['InvalidParams', waitingRooms.waitForOthers, { latitude: 1, longitude: 'x', password: '1234' }],
  ]
  for (const [name, endpoint, params] of refused) {
    const answer = await api.envelope(endpoint, params as never, { as: alice })
    t.equal(
      answer.resultCode,
      errors[name].code,
      `${endpoint.path} ${JSON.stringify(params).slice(0, 60)}: ${answer.detailMsg}`,
    )
  }
  t.equal(await rows(), before)
})

test('what apps send in their own ways is understood', async (t) => {
  const { api, people, roles } = await startRoom(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const jid = newJid()
  const entity = { jid, name: 'from JSON', isLook: 1, showRead: true, unknown: { $where: '1' } }
  const made = await api.call(
    rooms.addRoom,
    { room: JSON.stringify(entity), name: 'flat', text: ` ${bob} , ,${bob}` } as never,
    {
      as: alice,
    },
  )
  t.match(made, { jid, name: 'flat', isLook: 1, showRead: 1, userSize: 2 })
  await api.call(roomMembers.updateMember, { roomId: made.id.toUpperCase(), text: `["${carol}","null"]` } as never, {
    as: alice,
  })
  t.strictSame(await roles(made.id, alice), { [alice]: 1, [bob]: 3, [carol]: 3 })
  t.match(await api.call(rooms.getRoom, { roomId: jid, pageIndex: -1, pageSize: 'x' } as never, { as: bob }), {
    id: made.id,
  })
  const deep = await api.call(rooms.listRooms, { pageIndex: 1_000_000, pageSize: 1000 }, { as: bob })
  t.strictSame(deep, [])
})
