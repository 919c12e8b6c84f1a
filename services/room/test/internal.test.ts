import type { ResultOf } from '@im/contracts'
import { internalMemberships, internalRooms, replayedRooms, roomMembers, rooms } from '@im/contracts/room'
import { failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startRoom } from './start-room.ts'

test('what users are in rooms is told for many at once, as of the last event', async (t) => {
  const { api, internal, people, room } = await startRoom(t)
  const [alice, bob, eve] = people('alice', 'bob', 'eve')
  const one = await room(alice, [bob], { name: 'one', allowSendCard: 0 })
  const gone = await room(alice, [bob])
  await api.call(rooms.dissolveRoom, { roomId: gone.id }, { as: alice })
  await api.call(roomMembers.updateMember, { roomId: one.id, userId: bob, talkTime: 4e9 } as never, { as: alice })
  const pairs = [
    { jid: one.jid, userId: bob },
    { jid: one.jid, userId: eve },
    { jid: gone.jid, userId: bob },
    { jid: 'never', userId: bob },
  ]
  const { standings } = await internal.call(internalRooms.getStandings, { pairs } as never)
  t.match(standings, [
    {
      ...{
        state: 'live',
        sequence: Number,
        room: { roomId: one.id, name: 'one', ownerId: alice, allowSendCard: 0, locked: 0 },
      },
      member: { userId: bob, name: 'bob', role: 3, talkTime: 4e9, joinedAt: Number },
    },
    { state: 'live', sequence: Number },
    { state: 'dissolved', sequence: Number },
    { state: 'unknown', sequence: 0 },
  ])
  t.strictSame(Object.keys(standings[1] ?? {}).sort(), ['sequence', 'state'], 'no member, and the room is told once')
  await t.rejects(api.call(internalRooms.getStandings, { pairs } as never, { as: bob }), failure('PermissionDenied'))

  t.match(await internal.call(internalRooms.listRoomsOf, { userId: bob }), {
    rooms: [{ room: { roomId: one.id }, member: { userId: bob } }],
  })
  const members = []
  for (let after: number | undefined; ; ) {
    const page = await internal.call(internalRooms.pageMembers, { roomId: one.id, after, pageSize: 1 })
    members.push(...page.members)
    after = page.next
    if (after === undefined) break
  }
  t.match(members, [
    { userId: alice, role: 1 },
    { userId: bob, role: 3 },
  ])
  t.strictSame(await internal.call(internalRooms.pageMembers, { roomId: 'f'.repeat(24) }), { members: [] })

  const ask = (userId: number, of: string) => internal.call(internalMemberships.getMembership, { userId, room: of })
  t.match(await ask(bob, one.jid), { exists: 1, roomId: one.id, jid: one.jid, role: 3, allowSpeakCourse: 1 })
  t.match(await ask(eve, one.id), { exists: 1, role: 0, locked: 0 })
  await internal.call(internalMemberships.setRoomLocked, { room: one.id, locked: 1 })
  t.match(await ask(eve, one.id), { exists: 1, locked: 1 })
  t.match(await ask(bob, gone.id), { exists: 0, role: 0 })
})

test('a service that joins later reads all rooms with what their members want', async (t) => {
  const { api, internal, people, room } = await startRoom(t)
  const [alice, bob] = people('alice', 'bob')
  const [one, gone] = [await room(alice, [bob], { name: 'one' }), await room(alice, [bob])]
  await api.call(rooms.dissolveRoom, { roomId: gone.id }, { as: alice })
  await api.call(roomMembers.setOwnSwitch, { roomId: one.id, offlineNoPushMsg: 1 } as never, { as: bob })
  await api.call(roomMembers.updateMember, { roomId: one.id, userId: alice, nickname: 'boss' } as never, { as: alice })
  const rows: ResultOf<typeof replayedRooms.pageRooms>['rows'] = []
  for (let after: string | undefined; ; ) {
    const page = await internal.call(replayedRooms.pageRooms, { after, pageSize: 1 })
    rows.push(...page.rows)
    after = page.next
    if (after === undefined) break
  }
  const rowOf = (id: string) => rows.find(({ aggregate }) => aggregate === id)
  t.match(rowOf(one.id), { sequence: Number, data: { roomId: one.id, jid: one.jid, name: 'one', dissolved: false } })
  const byUser = new Map(rowOf(one.id)?.data.members.map((member) => [member.userId, member]))
  const { members } = await internal.call(internalRooms.pageMembers, { roomId: one.id })
  const [ofAlice, ofBob] = members.map(({ joinedAt }) => ({ joinedAt }))
  t.strictSame(byUser.get(alice), { userId: alice, name: 'boss', offlineNoPushMsg: 0, ...ofAlice })
  t.strictSame(byUser.get(bob), { userId: bob, offlineNoPushMsg: 1, ...ofBob })
  t.match(rowOf(gone.id), { data: { dissolved: true, members: [] } })
})
