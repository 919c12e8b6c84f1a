import { archive } from '@im/contracts/message'
import { noticeEdited, shareAdded, shareDeleted, waitingRoomChanged } from '@im/contracts/room'
import { eventPublisher, eventually } from '@im/service-kit/testing'
import type { CommandStartedEvent, MongoClient } from 'mongodb'
import { type Test, test } from 'tap'
import { alice, bob, carol } from './start-message.ts'
import { addressOf, joined, startRooms } from './start-rooms.ts'
import type { ClientStream } from './xmpp-server.ts'

const notices = '10005'

/** Room events a stream got, by their way: `chat` or `room`. */
const eventsOf = (stream: ClientStream) =>
  stream.messages.flatMap(({ id, from, body, stanza }) => {
    const fields = JSON.parse(body) as Record<string, unknown> & { type: number }
    if (fields.type < 400 || (fields.type >= 800 && fields.type < 900)) return []
    const way = from === `${notices}@im.localhost` && stanza.attrs['type'] === 'chat' ? 'chat' : 'room'
    return [{ way, id, from, fields }]
  })

const summary = (stream: ClientStream) =>
  eventsOf(stream).map(({ way, fields }) => `${way} ${fields.type} ${fields['content']}`)

test('a new member is told first, then the room, both by one id, with what the app has to know', async (t) => {
  const { newRoom, rooms, online, api } = await startRooms(t)
  const jid = await newRoom(alice, [], { name: '我的群组', showRead: 1 })
  const [owner, member] = [await online(alice), await online(bob)]
  await joined(owner, jid)
  await rooms.add(jid, bob)
  await eventually(() =>
    eventsOf(owner).some(({ way, fields }) => way === 'room' && fields['toUserId'] === String(bob)),
  )
  const [chat] = await eventually(() => eventsOf(member).length === 1 && eventsOf(member))
  const room = eventsOf(owner).find(({ way, fields }) => way === 'room' && fields['toUserId'] === String(bob))
  t.equal(chat?.way, 'chat')
  t.equal(chat?.id, room?.id)
  t.strictSame(chat?.fields, room?.fields)
  t.equal(room?.from, addressOf(jid, notices), 'never from a nick of a member')
  const { timeSend, ...fields } = chat!.fields
  t.ok(Math.abs(Number(timeSend) - Date.now() / 1000) < 60)
  t.strictSame(fields, {
    type: 907,
    messageId: chat?.id,
    fromUserId: String(alice),
    fromUserName: `n${alice}`,
    toUserId: String(bob),
    toUserName: `n${bob}`,
    content: '我的群组',
    objectId: jid,
    fileName: rooms.byJid.get(jid)?.state.roomId,
    fileSize: 1,
    other:
      '{"showRead":1,"isLook":0,"isNeedVerify":0,"showMember":1,"allowSendCard":1,"allowInviteFriend":1,"allowUploadFile":1,"allowConference":1,"allowSpeakCourse":1,"maxUserSize":20000,"chatRecordTimeOut":-1,"talkTime":0}',
  })
  const history = await api.call(archive.listRoomHistory, { roomId: jid, maxType: 1000 }, { as: alice })
  const row = history.find(({ messageId }) => messageId === chat?.id)
  t.match(row, { sender: 10005, contentType: 907 })
})

test('each change of a room is told once, to whom it concerns', async (t) => {
  const { newRoom, rooms, online } = await startRooms(t)
  const jid = await newRoom(alice, [bob, carol])
  const [owner, member, other] = [await online(alice), await online(bob), await online(carol)]
  for (const stream of [owner, member, other]) await joined(stream, jid)
  const until = 4_000_000_000
  await rooms.change(jid, { name: 'other', showRead: 1, maxUserSize: 5 })
  await rooms.change(jid, { chatRecordTimeOut: 1 })
  await rooms.change(jid, { chatRecordTimeOut: 0.5, talkTime: until })
  await rooms.change(jid, { talkTime: 0, allowUploadFile: 0 })
  await rooms.changeMember(jid, bob, { name: 'Bobby' })
  await rooms.changeMember(jid, bob, { talkTime: until })
  await rooms.changeMember(jid, bob, { talkTime: 0 })
  await rooms.changeMember(jid, bob, { role: 2 })
  await rooms.changeMember(jid, bob, { role: 4 })
  await rooms.changeMember(jid, bob, { name: 'Hidden' })
  await rooms.changeMember(jid, bob, { talkTime: until })
  await rooms.changeMember(jid, bob, { talkTime: 0 })
  await rooms.changeMember(jid, bob, { role: 3 })
  await rooms.changeMember(jid, bob, { role: 5 })
  await rooms.changeMember(jid, bob, { role: 3 })
  await rooms.notice(jid, '公告')
  await rooms.change(jid, { locked: 1 })
  await rooms.change(jid, { locked: 0 })
  await rooms.transfer(jid, bob)
  await eventually(() => [owner, member, other].every((stream) => summary(stream).includes('room 925 ')))
  const inRoom = [
    ...['room 902 other', 'room 915 1', 'room 932 1.0', 'room 932 0.5', `room 920 ${until}`, 'room 920 0'],
    ...['room 922 0', 'room 901 Bobby', `room 906 ${until}`, 'room 906 0', 'room 913 1', 'room 913 0', 'room 905 公告'],
    'room 925 ',
  ]
  const [locks, invisible] = [
    ['chat 931 -1', 'chat 931 1'],
    [
      ...['chat 930 1', 'chat 930 -1', 'chat 930 2', 'chat 930 0'],
      ...['chat 901 Hidden', `chat 906 ${until}`, 'chat 906 0'],
    ],
  ]
  const toMember = [`chat 906 ${until}`, 'chat 906 0', 'chat 913 1', 'chat 913 0', 'chat 925 ']
  const only = (stream: ClientStream, way: string) =>
    summary(stream).filter((event) => event.startsWith(way) && !event.includes(' 907 '))
  for (const stream of [owner, member, other]) t.strictSame(only(stream, 'room'), inRoom)
  t.strictSame(only(other, 'chat'), locks)
  t.strictSame(only(owner, 'chat').sort(), [...locks, ...invisible].sort())
  t.strictSame(only(member, 'chat').sort(), [...locks, ...invisible, ...toMember].sort())
})

test('leaving is told to who left, and to the room where it wants that', async (t) => {
  const { newRoom, rooms, online } = await startRooms(t)
  const [loud, quiet] = [await newRoom(alice, [bob]), await newRoom(alice, [bob], { isAttritionNotice: 0 })]
  const owner = await online(alice)
  for (const jid of [loud, quiet]) await joined(owner, jid)
  await rooms.remove(loud, bob)
  await rooms.remove(quiet, bob, bob)
  // Who is not there gets it later.
  const member = await online(bob)
  await eventually(() => summary(member).filter((event) => event.startsWith('chat 904')).length === 2)
  await eventually(() => summary(owner).includes(`room 904 room ${loud}`))
  await rooms.dissolve(loud)
  await eventually(() => summary(owner).includes(`chat 903 room ${loud}`))
  t.notOk(summary(owner).includes(`room 904 room ${quiet}`))
  t.notOk(
    summary(member).some((event) => event.includes('903')),
    'who is no member hears nothing',
  )
})

test('nobody but the owner is told of the coming and going of members in hidden roles', async (t) => {
  const { newRoom, rooms, online } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const hidden = 10000004
  const [owner, other, invisible] = [await online(alice), await online(bob), await online(hidden)]
  for (const stream of [owner, other]) await joined(stream, jid)
  await rooms.add(jid, hidden, 4)
  await rooms.remove(jid, hidden)
  await rooms.add(jid, hidden, 5)
  await rooms.remove(jid, hidden, hidden)
  await rooms.notice(jid, 'end')
  await eventually(() => [owner, other].every((stream) => summary(stream).includes('room 905 end')))
  const about = (stream: ClientStream) =>
    eventsOf(stream).flatMap(({ way, fields }) =>
      fields['toUserId'] === String(hidden) ? [`${way} ${fields.type}`] : [],
    )
  const told = ['chat 907', 'chat 904', 'chat 907', 'chat 904']
  await eventually(() => about(owner).length >= 4 && about(invisible).length >= 4)
  t.strictSame([about(owner), about(invisible), about(other)], [told, told, []])
})

test('files, edited notices and waiting rooms are told', async (t) => {
  const { newRoom, rooms, online, env } = await startRooms(t)
  const publish = eventPublisher(t, env)
  const jid = await newRoom(alice, [bob])
  const stream = await online(bob)
  await joined(stream, jid)
  const { state } = rooms.byJid.get(jid)!
  const about = { room: state, by: { userId: alice, name: 'Alice' }, at: Date.now() }
  const file = { shareId: 'f'.repeat(24), name: 'plan.pdf' }
  await publish(shareAdded, state.roomId, { ...about, ...file })
  await publish(shareDeleted, state.roomId, { ...about, ...file })
  await publish(noticeEdited, state.roomId, { ...about, noticeId: 'a'.repeat(24), text: 'new text' })
  await publish(waitingRoomChanged, 'w', { jid: 'w'.repeat(32), userIds: [bob], by: about.by, at: about.at })
  const others = () => eventsOf(stream).filter(({ fields }) => fields.type !== 907)
  await eventually(() => others().length === 4)
  const told = others().map(({ way, fields }) => [
    way,
    fields.type,
    fields['content'],
    fields['objectId'],
    fields['fileName'],
    fields['toUserId'],
  ])
  t.strictSame(
    told.sort(),
    [
      ['chat', 933, '', 'w'.repeat(32), '', String(bob)],
      ['room', 401, file.shareId, jid, file.name, jid],
      ['room', 402, file.shareId, jid, file.name, jid],
      ['room', 934, 'new text', jid, state.roomId, jid],
    ].sort(),
  )
})

test('an event that is handled again tells the same messages', async (t) => {
  const { newRoom, rooms, online, deps } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const [owner, member] = [await online(alice), await online(bob)]
  await joined(owner, jid)
  // The first try fails behind the chat copy.
  const { roomFanOut } = deps
  const sent = roomFanOut.sent.bind(roomFanOut)
  let failures = 0
  roomFanOut.sent = async (order) => {
    if (order.kind === 'remove' && failures++ < 2) throw new Error('broken off')
    await sent(order)
  }
  await rooms.remove(jid, bob)
  const told = (stream: ClientStream) => eventsOf(stream).filter(({ fields }) => fields.type === 904)
  await eventually(() => told(owner).length === 1, 20_000)
  t.ok(failures > 2)
  const ids = new Set([...told(owner), ...told(member)].map(({ id }) => id))
  t.equal(ids.size, 1)
  t.equal(await deps.messages.collection.countDocuments({ roomJid: jid, contentType: 904 }), 1)
})

test('own devices are told that the list of rooms changed where several are allowed', async (t) => {
  const { newRoom, rooms, online } = await startRooms(t)
  const member = await online(bob)
  const jid = await newRoom(alice, [bob])
  const own = () => member.messages.map(({ body }) => JSON.parse(body)).filter(({ type }) => type === 802)
  await eventually(() => own().length === 1)
  await rooms.remove(jid, bob)
  await eventually(() => own().length === 2)
  const { roomId } = rooms.byJid.get(jid)!.state
  t.match(own()[1], { objectId: jid, fileName: roomId, fromUserId: String(bob), toUserId: String(bob) })
})

test('the end of a large room tells thousands of members with few writes', async (t) => {
  const { rooms, deps } = await startRooms(t)
  const jid = 'b'.repeat(32)
  const members = Array.from({ length: 2000 }, (_, n) => 20_000_000 + n)
  rooms.stock([jid], [alice, ...members])
  const commits = countCommits(t, deps.mongoClient)
  await rooms.dissolve(jid)
  const all = 2 * (members.length + 1)
  await eventually(async () => (await deps.mailbox.collection.countDocuments()) === all, 30_000)
  t.ok(commits.count < 60, `${commits.count} transactions`)
})

function countCommits(t: Test, client: MongoClient) {
  const counted = { count: 0 }
  const count = ({ commandName }: CommandStartedEvent) => {
    if (commandName === 'commitTransaction') counted.count++
  }
  client.on('commandStarted', count)
  t.after(() => client.off('commandStarted', count))
  return counted
}
