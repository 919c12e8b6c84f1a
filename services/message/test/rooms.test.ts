import { archive, roomMessagesPassed, search } from '@im/contracts/message'
import { eventually, failure, recordEvents, writesOf } from '@im/service-kit/testing'
import type { Element } from '@xmpp/component'
import { type CommandStartedEvent, ObjectId } from 'mongodb'
import { test } from 'tap'
import { roomConversation } from '../src/messages/conversations.ts'
import type { MessageDocument } from '../src/messages/message-document.ts'
import type { MessagesRepository } from '../src/messages/messages-repository.ts'
import { readHistories } from '../src/rooms/room-history.ts'
import { tellRoom } from '../src/rooms/tell-room.ts'
import { alice, bob, carol } from './start-message.ts'
import { addressOf, join, joined, presencesOf, roomsDomain, saidIn, sayIn, startRooms } from './start-rooms.ts'
import { XmppServer } from './xmpp-server.ts'

test('what is said in a room is stored once, confirmed, and reaches all who have joined on every server', async (t) => {
  const servers = [await XmppServer.start(), await XmppServer.start()]
  const { newRoom, online, deps, api } = await startRooms(t, { servers })
  const jid = await newRoom(alice, [bob, carol])
  const [phone, pc] = [await online(alice), await online(alice, { resource: 'pc', server: servers[1]! })]
  const [near, far] = [await online(bob), await online(carol, { server: servers[1]! })]
  const absent = await online(bob, { resource: 'ios' })
  for (const stream of [phone, pc, near, far]) await joined(stream, jid)
  const body = `{"type":1, "messageId":"m1","content":"a<b>&amp;😀","x":[1.0]}`
  phone.say({ to: addressOf(jid), type: 'groupchat', id: 'm1', body })
  for (const stream of [phone, pc, near, far]) await eventually(() => saidIn(stream, jid).length === 1)
  await Promise.all(servers.map((server) => server.drained()))
  for (const stream of [phone, pc, near, far]) {
    const [said] = stream.messages.filter(({ id }) => id === 'm1')
    t.equal(said?.body, body)
    t.strictSame(said?.stanza.attrs, { to: stream.jid, from: addressOf(jid, alice), id: 'm1', type: 'groupchat' })
    t.notOk(said?.isDelayed)
  }
  t.strictSame(saidIn(absent, jid), [], 'who has not joined gets it with the history')
  const receipt = phone.received.find(({ stanza }) => stanza.getChild('received'))
  t.strictSame(receipt?.stanza.attrs, { to: phone.jid, from: addressOf(jid), type: 'normal' })
  const rows = await deps.messages.collection.find({ roomJid: jid, contentType: 1 }).toArray()
  t.equal(rows.length, 1)
  const [row] = await api.call(archive.listRoomHistory, { roomId: jid, maxType: 100 }, { as: bob })
  t.match(row, { messageId: 'm1', body, sender: alice, room_jid_id: jid, room_jid: addressOf(jid), type: 2 })
  t.match(row?.message, /type='groupchat'/)
  const [chat] = await api.call(archive.listLastChats, {}, { as: carol })
  t.match(chat, { jid, isRoom: 1, messageId: 'm1', userId: String(carol), from: String(alice), to: jid })
  t.equal(await deps.mailbox.collection.countDocuments({ 'late.conversation': `r:${jid}` }), 0, 'rooms need no mailbox')
})

test('one frame for each server carries a message with the list of its streams', async (t) => {
  const { newRoom, online, xmpp } = await startRooms(t)
  const jid = await newRoom(alice, [bob, carol])
  const streams = [await online(alice), await online(bob), await online(carol)]
  for (const stream of streams) await joined(stream, jid)
  const frames: string[] = []
  xmpp.onFrame = ({ name, attrs, children }) => {
    if (name === 'note') frames.push('a note')
    if (name === 'deliver' && children.join('').includes('said once')) frames.push(attrs['to'] ?? '')
  }
  sayIn(streams[0]!, jid, 'said once')
  await xmpp.drained()
  t.equal(frames.length, 1)
  t.strictSame(frames[0]?.split(' ').sort(), streams.map(({ id }) => id).sort())
})

test('a join is answered with occupants, the own presence, history and subject, in this order', async (t) => {
  const { newRoom, online, rooms, deps } = await startRooms(t)
  const jid = await newRoom(alice, [bob, carol])
  const [hidden, guard] = [10000004, 10000005]
  await rooms.add(jid, hidden, 4)
  await rooms.add(jid, guard, 5)
  for (const user of [alice, carol, hidden, guard]) await joined(await online(user), jid)
  const speaker = await online(alice, { resource: 'pc' })
  await joined(speaker, jid)
  await eventually(async () => (await deps.messages.collection.countDocuments({ contentType: 907 })) === 3)
  sayIn(speaker, jid, 'before')
  await eventually(() => saidIn(speaker, jid).includes('before'))
  const stream = await online(bob)
  await joined(stream, jid, `maxstanzas='1'`)
  const ofRoom = stream.received.filter(({ stanza }) => stanza.attrs['from']?.startsWith(addressOf(jid)))
  const kinds = ofRoom.map(({ stanza }) =>
    stanza.name === 'message'
      ? stanza.getChild('subject')
        ? 'subject'
        : 'history'
      : (stanza.attrs['from']?.split('/')[1] ?? ''),
  )
  const own = kinds.indexOf(String(bob))
  t.strictSame(new Set(kinds.slice(0, own)), new Set([String(alice), String(carol)]), 'roles 4 and 5 are not announced')
  t.strictSame(kinds.slice(own), [String(bob), 'history', 'subject'])
  t.strictSame(presencesOf(stream, jid).at(-1)?.codes, [100, 110])
  t.ok(stream.messages.find(({ content }) => content === 'before')?.isDelayed)
  t.notOk(
    presencesOf(speaker, jid).some(({ nick }) => nick === String(bob)),
    'nobody is told who joins',
  )
})

test('a nick is the user id, whatever the client asks for, and a join needs no x element', async (t) => {
  const { newRoom, online } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const stream = await online(bob)
  join(stream, jid, `seconds='0'`, 'Bobby')
  await eventually(() => presencesOf(stream, jid).length === 1)
  t.match(presencesOf(stream, jid), [{ nick: String(bob), codes: [100, 110, 210] }])
  const plain = await online(bob, { resource: 'pc' })
  plain.send(`<presence xmlns='jabber:client' to='${addressOf(jid.toUpperCase(), bob)}'/>`)
  await eventually(() => presencesOf(plain, jid).some(({ codes }) => codes.includes(110)))
  t.match(presencesOf(plain, jid), [{ nick: String(bob), codes: [100, 110] }], 'nobody is shown their other device')
  const subjects = () => plain.received.filter(({ stanza }) => stanza.getChild('subject')).length
  await eventually(() => subjects() === 1)
  plain.send(`<presence xmlns='jabber:client' to='${addressOf(jid, bob)}'><show>away</show></presence>`)
  await eventually(() => presencesOf(plain, jid).length === 2)
  sayIn(stream, jid, 'both')
  await eventually(() => saidIn(stream, jid).includes('both') && saidIn(plain, jid).includes('both'))
  t.equal(subjects(), 1, 'a change of presence is no other join')
  plain.send(`<presence xmlns='jabber:client' to='${addressOf(jid)}' type='unavailable'/>`)
  await eventually(() => presencesOf(plain, jid).at(-1)?.kind === 'unavailable')
  sayIn(stream, jid, 'one')
  await eventually(() => saidIn(stream, jid).includes('one'))
  t.notOk(saidIn(plain, jid).includes('one'))
})

test('only members join: others are told to register, and dissolved rooms are gone', async (t) => {
  const { newRoom, online, rooms } = await startRooms(t)
  const [jid, gone] = [await newRoom(alice), await newRoom(alice, [bob])]
  await rooms.dissolve(gone)
  const stream = await online(bob)
  for (const room of [jid, gone, 'no.room']) join(stream, room)
  await eventually(() => stream.received.filter(({ stanza }) => stanza.attrs['type'] === 'error').length === 3)
  const conditions = [jid, gone, 'no.room'].map((room) => presencesOf(stream, room).map(({ condition }) => condition))
  t.strictSame(conditions, [['registration-required'], ['item-not-found'], ['item-not-found']])
  stream.send(`<presence xmlns='jabber:client' to='${roomsDomain}/1'/>`)
  await eventually(() => stream.received.some(({ stanza }) => stanza.attrs['from'] === roomsDomain))
})

test('who may not speak is told why, and what an HTTP answer said is in force from then on', async (t) => {
  const { newRoom, online, rooms, xmpp } = await startRooms(t)
  const jid = await newRoom(alice, [bob, carol])
  const [owner, member] = [await online(alice), await online(bob)]
  for (const stream of [owner, member]) await joined(stream, jid)
  const outcome = async (stream = member, more: Record<string, unknown> = {}) => {
    const id = sayIn(stream, jid, 'x', more)
    await eventually(() => stream.refusals.has(id) || stream.receipts.includes(id))
    return stream.refusals.get(id) ?? 'taken'
  }
  const later = Math.floor(Date.now() / 1000) + 600
  t.equal(await outcome(), 'taken')
  await rooms.changeMember(jid, bob, { talkTime: later })
  t.equal(await outcome(), 'forbidden')
  t.equal(await outcome(member, { type: 26 }), 'taken', 'reading is no speaking')
  t.equal(await outcome(member, { type: 202, content: 'f'.repeat(32) }), 'taken', 'nor is taking back')
  await rooms.changeMember(jid, bob, { talkTime: 0 })
  t.equal(await outcome(), 'taken')
  await rooms.change(jid, { talkTime: later })
  t.strictSame([await outcome(), await outcome(owner)], ['forbidden', 'taken'])
  await rooms.changeMember(jid, bob, { role: 2 })
  t.equal(await outcome(), 'taken', 'admins speak while all are muted')
  await rooms.changeMember(jid, bob, { role: 3 })
  await rooms.change(jid, { talkTime: 0 })
  await rooms.change(jid, { locked: 1 })
  t.strictSame([await outcome(), await outcome(owner)], ['forbidden', 'forbidden'])
  await rooms.change(jid, { locked: 0 })
  await rooms.changeMember(jid, bob, { role: 4 })
  t.equal(await outcome(), 'forbidden')
  await rooms.changeMember(jid, bob, { role: 3 })
  t.equal(await outcome(member, { fromUserId: String(alice) }), 'not-allowed')
  t.equal(await outcome(member, { type: 902 }), 'not-allowed')
  const stranger = await online(10000009)
  t.equal(await outcome(stranger), 'forbidden')
  await rooms.remove(jid, bob)
  t.equal(await outcome(), 'forbidden')
  const before = saidIn(member, jid).length
  sayIn(owner, jid, 'after')
  await xmpp.drained()
  t.notOk(saidIn(member, jid).slice(before).includes('after'), 'who was removed hears nothing')
  await rooms.add(jid, bob)
  t.equal(await outcome(), 'taken')
})

test('a member who has not joined is admitted and hears the room from then on', async (t) => {
  const { newRoom, online } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const [first, second] = [await online(alice), await online(bob)]
  sayIn(first, jid, 'one')
  await eventually(() => saidIn(first, jid).includes('one'))
  await joined(second, jid)
  sayIn(second, jid, 'two')
  await eventually(() => saidIn(first, jid).includes('two'))
  t.strictSame(saidIn(first, jid), ['one', 'two'])
})

test('history is bounded by the join, by what the client wishes, and by 100', async (t) => {
  const { newRoom, online, rooms, api } = await startRooms(t)
  const jid = await newRoom(alice)
  const speaker = await online(alice)
  await joined(speaker, jid)
  sayIn(speaker, jid, 'before bob')
  await eventually(() => saidIn(speaker, jid).length === 1)
  await rooms.add(jid, bob)
  const ids = Array.from({ length: 120 }, (_, n) => sayIn(speaker, jid, n))
  await eventually(() => saidIn(speaker, jid).length === 121)
  const heard = async (wish: string) => {
    const stream = await online(bob, { resource: `r${Math.random()}` })
    await joined(stream, jid, wish)
    return saidIn(stream, jid)
  }
  const all = await heard('')
  t.equal(all.length, 100)
  t.strictSame(all.slice(-2), [118, 119])
  t.strictSame(await heard(`seconds='0'`), [])
  t.strictSame(await heard(`maxstanzas='2'`), [118, 119])
  t.equal((await heard(`seconds='3600' maxstanzas='500'`)).length, 100)
  t.strictSame(await heard(`since='2999-01-01T00:00:00Z'`), [])
  t.strictSame(await heard(`maxchars='10'`), [])
  t.notOk(all.includes('before bob'))
  await api.call(archive.deleteMessages, { messageId: ids.at(-2)!, type: 2, delete: 1 }, { as: bob })
  t.strictSame(await heard(`maxstanzas='2'`), [117, 119], 'what they deleted for themselves stays away')
  const last = ids.at(-1)!
  speaker.say({ to: addressOf(jid), type: 'groupchat', body: { type: 202, content: last } })
  await eventually(() => saidIn(speaker, jid).at(-1) === last)
  t.strictSame((await heard(`maxstanzas='2'`))[0], 117, 'what was recalled is gone, the recall is there')
  await rooms.remove(jid, bob)
  sayIn(speaker, jid, 'while away')
  await eventually(() => saidIn(speaker, jid).includes('while away'))
  await rooms.add(jid, bob)
  const again = await heard('')
  t.notOk(again.includes('while away') || again.includes(117))
})

test('a join is answered with the newest two million characters at most', async (t) => {
  const { newRoom, online, deps } = await startRooms(t)
  const jid = await newRoom(alice)
  const stream = await online(alice)
  await joined(stream, jid)
  const sent = Array.from({ length: 50 }, (_, n) => sayIn(stream, jid, n))
  await eventually(() => sent.every((id) => stream.receipts.includes(id)))
  const body = JSON.stringify({ type: 1, content: 'x'.repeat(60_000) })
  await deps.messages.collection.updateMany({ conversation: roomConversation(jid) }, { $set: { body } })
  const other = await online(alice, { resource: 'pc' })
  await joined(other, jid, '')
  const heard = saidIn(other, jid)
  t.ok(heard.length > 30 && heard.length * body.length < 2 * 2 ** 20, `${heard.length} messages`)
})

test('who is removed, leaves, or loses the room is out, and is told before', async (t) => {
  const { newRoom, online, rooms, deps } = await startRooms(t)
  const jid = await newRoom(alice, [bob, carol])
  const [owner, removed, leaving] = [await online(alice), await online(bob), await online(carol)]
  for (const stream of [owner, removed, leaving]) await joined(stream, jid)
  await rooms.remove(jid, bob)
  await rooms.remove(jid, carol, carol)
  await eventually(() => [removed, leaving].every((stream) => presencesOf(stream, jid).at(-1)?.kind === 'unavailable'))
  t.strictSame(presencesOf(removed, jid).at(-1)?.codes, [110, 321])
  const place = (type: number) =>
    removed.received.findIndex(({ stanza }) => stanza.getChildText('body')?.includes(`"type":${type}`))
  const out = removed.received.findIndex(({ stanza }) => stanza.attrs['type'] === 'unavailable')
  t.ok(place(904) >= 0 && place(904) < out, 'the chat copy goes first')
  sayIn(owner, jid, 'shown in lists of chats')
  await eventually(async () => (await deps.roomChats.collection.countDocuments()) === 1)
  await rooms.dissolve(jid)
  await eventually(() => presencesOf(owner, jid).at(-1)?.isDestroyed)
  await eventually(() => owner.messages.some(({ body }) => JSON.parse(body).type === 903))
  await eventually(
    async () => (await deps.messages.collection.countDocuments({ roomJid: jid, gone: { $exists: false } })) === 0,
  )
  t.equal(await deps.roomChats.collection.countDocuments(), 0, 'nor stands in lists of chats')
})

test('a room that a client makes by joining is reserved for it until it is registered or ten minutes are over', async (t) => {
  let ahead = 0
  const { online, rooms, deps } = await startRooms(t, { overrides: { now: () => Date.now() + ahead } })
  const [kept, lost] = ['a'.repeat(32), 'b'.repeat(32)]
  const [owner, other] = [await online(alice), await online(bob)]
  for (const jid of [kept, lost]) {
    join(owner, jid)
    await eventually(() => presencesOf(owner, jid).length === 1)
    t.strictSame(presencesOf(owner, jid)[0]?.codes, [100, 110, 201])
    join(other, jid)
    await eventually(() => presencesOf(other, jid).length === 1)
    t.equal(presencesOf(other, jid)[0]?.condition, 'item-not-found')
  }
  join(owner, kept)
  await eventually(() => presencesOf(owner, kept).length === 2)
  t.strictSame(presencesOf(owner, kept)[1]?.codes, [100, 110], 'it is made once')
  await t.rejects(rooms.create(kept, bob), failure('JidTaken'))
  const { reservedRooms } = deps
  const reserved = (await reservedRooms.get(kept))!
  ahead = 1000
  await rooms.create(kept, alice, [bob])
  await reservedRooms.remove(reserved)
  t.match(await reservedRooms.get(kept), { claimed: true }, 'who found it expired a moment ago leaves it')
  sayIn(owner, kept, 'registered')
  await eventually(() => saidIn(owner, kept).includes('registered'))
  ahead = 700_000
  await eventually(() => presencesOf(owner, lost).at(-1)?.isDestroyed, 30_000)
  await eventually(async () => (await deps.reservedRooms.collection.countDocuments()) === 0)
  t.notOk(presencesOf(owner, kept).some(({ isDestroyed }) => isDestroyed))
  sayIn(owner, kept, 'still there')
  await eventually(() => saidIn(owner, kept).includes('still there'))
})

test('nobody makes more than 200 rooms that wait, however quickly', async (t) => {
  const { online, deps } = await startRooms(t)
  const stream = await online(alice)
  const jids = Array.from({ length: 300 }, (_, n) => `${n}`.padStart(32, 'a'))
  for (const jid of jids) join(stream, jid)
  await eventually(() => jids.every((jid) => presencesOf(stream, jid).length > 0), 30_000)
  const refused = jids.filter((jid) => presencesOf(stream, jid)[0]?.condition === 'resource-constraint')
  const kept = await deps.reservedRooms.collection.countDocuments()
  t.ok(kept > 0 && kept <= 200, `${kept} are kept`)
  t.equal(refused.length, 300 - kept)

  const own = jids.find((jid) => !refused.includes(jid))!
  join(stream, own)
  await eventually(() => presencesOf(stream, own).length === 2)
  t.strictSame(presencesOf(stream, own)[1]?.codes, [100, 110], 'who has made so many still joins them')
})

test('a room answers disco, pings and the form of its owner, and nothing else', async (t) => {
  const { newRoom, online } = await startRooms(t)
  const [jid, made] = [await newRoom(alice, [bob]), 'c'.repeat(32)]
  const [owner, member] = [await online(alice), await online(bob)]
  join(owner, made)
  let number = 0
  const ask = async (stream: typeof owner, to: string, type: string, query: string) => {
    const id = `q${++number}`
    stream.send(`<iq xmlns='jabber:client' id='${id}' type='${type}' to='${to}'>${query}</iq>`)
    const { stanza } = await eventually(() =>
      stream.received.find(({ stanza: { name, attrs } }) => name === 'iq' && attrs['id'] === id),
    )
    return stanza.attrs['type'] === 'error' ? stanza.getChild('error')!.getChildElements()[0]!.name : stanza.toString()
  }
  const query = (ns: string, content = '') => `<query xmlns='${ns}'>${content}</query>`
  const [info, items] = ['http://jabber.org/protocol/disco#info', 'http://jabber.org/protocol/disco#items']
  const [own, admin] = ['http://jabber.org/protocol/muc#owner', 'http://jabber.org/protocol/muc#admin']
  t.match(await ask(member, addressOf(jid), 'get', query(info)), `name="room ${jid}"`)
  t.match(await ask(member, `muc.im.localhost`, 'get', query(info)), 'conference')
  t.match(await ask(member, addressOf(jid), 'get', query(items)), 'result')
  const ping = `<ping xmlns='urn:xmpp:ping'/>`
  t.match(await ask(member, addressOf(jid), 'get', ping), 'result')
  t.equal(await ask(member, addressOf(jid, bob), 'get', ping), 'not-acceptable', 'before they have joined')
  join(member, jid)
  await eventually(() => presencesOf(member, jid).length > 0)
  t.match(await ask(member, addressOf(jid, bob), 'get', ping), 'result')
  t.equal(await ask(member, addressOf('f'.repeat(32)), 'get', query(info)), 'item-not-found')
  t.match(await ask(owner, addressOf(made), 'get', query(own)), 'roomconfig_roomname')
  const form = `<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_roomname'><value>My room</value></field><field var='muc#roomconfig_membersonly'><value>0</value></field></x>`
  t.match(await ask(owner, addressOf(made), 'set', query(own, form)), 'result')
  t.match(await ask(owner, addressOf(made), 'get', query(info)), 'My room')
  t.equal(await ask(member, addressOf(made), 'get', query(info)), 'item-not-found', 'nobody else knows of it yet')
  t.equal(await ask(member, addressOf(jid), 'get', query(own)), 'forbidden')
  t.equal(await ask(owner, addressOf(jid), 'set', query(own, '<destroy/>')), 'not-allowed')
  t.match(await ask(owner, addressOf(jid), 'set', query(admin, `<item nick='${bob}' role='none'/>`)), 'result')
  t.match(await ask(owner, addressOf(jid), 'get', query(admin)), `<query xmlns="${admin}"/>`)
  t.equal(await ask(member, addressOf(jid), 'get', query('jabber:iq:version')), 'service-unavailable')
})

test('private messages go to one member, unless the room allows none', async (t) => {
  const { newRoom, online, rooms } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const [first, second] = [await online(alice), await online(bob)]
  const say = async (nick: number | string) => {
    const id = first.say({ to: addressOf(jid, nick), body: { content: 'psst' } })
    await eventually(() => first.refusals.has(id) || first.receipts.includes(id))
    return first.refusals.get(id) ?? 'taken'
  }
  t.equal(await say(bob), 'taken')
  await eventually(() =>
    second.messages.some(({ from, content }) => from === addressOf(jid, alice) && content === 'psst'),
  )
  t.strictSame([await say(carol), await say('nobody')], ['item-not-found', 'item-not-found'])
  await rooms.changeMember(jid, bob, { role: 4 })
  t.equal(await say(bob), 'taken', 'the owner knows who is there')
  await rooms.add(jid, carol)
  const curious = await online(carol)
  for (const role of [3, 2]) {
    await rooms.changeMember(jid, carol, { role })
    const asked = curious.say({ to: addressOf(jid, bob), body: { content: 'are you there?' } })
    await eventually(() => curious.refusals.has(asked) || curious.receipts.includes(asked))
    t.equal(curious.refusals.get(asked), 'item-not-found', `role ${role}: nobody else does`)
  }
  const whisper = async () => {
    const id = curious.say({ to: addressOf(jid, alice), body: { content: 'psst' } })
    await eventually(() => curious.refusals.has(id) || curious.receipts.includes(id))
    return curious.refusals.get(id) ?? 'taken'
  }
  t.equal(await whisper(), 'taken')
  await rooms.changeMember(jid, carol, { talkTime: Math.floor(Date.now() / 1000) + 600 })
  t.equal(await whisper(), 'forbidden', 'who is muted')
  await rooms.changeMember(jid, carol, { talkTime: 0 })
  await rooms.change(jid, { locked: 1 })
  t.strictSame([await whisper(), await say(carol)], ['forbidden', 'forbidden'], 'in a locked room')
  await rooms.change(jid, { locked: 0, allowSendCard: 0 })
  t.equal(await say(bob), 'not-allowed')
})

test('nobody tells a room that they are friends, or asks it for approval', async (t) => {
  const { newRoom, online } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const [victim, forger] = [await online(alice), await online(bob)]
  for (const stream of [victim, forger]) await joined(stream, jid)
  const types = [500, 501, 502, 503, 504, 505, 507, 508, 509, 510, 916]
  const told = types.map((type) => sayIn(forger, jid, '1', { type }))
  const last = sayIn(forger, jid, 'hello')
  await eventually(() => told.every((id) => forger.refusals.has(id) || forger.receipts.includes(id)))
  t.strictSame(
    told.map((id) => forger.refusals.get(id)),
    types.map(() => 'not-allowed'),
  )
  await eventually(() => victim.messages.some(({ id }) => id === last))
  t.strictSame(saidIn(victim, jid), ['hello'])
})

test('a recall in a room is for its author, the owner and admins', async (t) => {
  const { newRoom, online, rooms, api, deps } = await startRooms(t)
  const jid = await newRoom(alice, [bob, carol])
  const [owner, author, member] = [await online(alice), await online(bob), await online(carol)]
  for (const stream of [owner, author, member]) await joined(stream, jid)
  const recall = async (stream: typeof owner, messageId: string) => {
    const id = sayIn(stream, jid, messageId, { type: 202 })
    await eventually(() => stream.refusals.has(id) || stream.receipts.includes(id))
    return stream.refusals.get(id) ?? 'taken'
  }
  const say = async () => {
    const id = sayIn(author, jid, 'oops')
    await eventually(() => author.receipts.includes(id))
    return id
  }
  const isGone = async (messageId: string) => (await deps.messages.collection.findOne({ messageId }))?.gone === true
  const [first, second, third, fourth, fifth] = [await say(), await say(), await say(), await say(), await say()]
  t.equal(await recall(member, first), 'not-allowed')
  t.notOk(await isGone(first))
  t.equal(await recall(author, first), 'taken')
  t.equal(await recall(owner, second), 'taken')
  t.equal(await recall(member, 'f'.repeat(32)), 'taken')
  const unknown = Array.from({ length: 200 }, (_, n) => `${n}`.padStart(32, 'e'))
  t.equal(await recall(member, [...unknown, third].join()), 'not-allowed', 'behind as many as are looked at')
  t.equal(await recall(member, `${','.repeat(500)}${third}`), 'not-allowed', 'behind nothing')
  t.equal(await recall(author, unknown.join()), 'taken')
  t.ok((await isGone(first)) && (await isGone(second)))
  await t.rejects(api.call(archive.deleteMessages, { messageId: third, type: 2, delete: 2 }, { as: carol }), {
    code: 1400102,
  })
  await rooms.changeMember(jid, carol, { role: 2 })
  await api.call(archive.deleteMessages, { messageId: third, type: 2, delete: 2 }, { as: carol })
  t.equal(await recall(member, fifth), 'taken', 'by an admin')
  t.ok((await isGone(third)) && (await isGone(fifth)))
  await api.call(archive.deleteMessages, { messageId: fourth, type: 2, delete: 1 }, { as: carol })
  t.notOk(await isGone(fourth))
  const seen = async (as: number) =>
    (await api.call(archive.listRoomHistory, { roomId: jid, pageSize: 100 }, { as })).map(({ messageId }) => messageId)
  t.ok((await seen(bob)).includes(fourth) && !(await seen(carol)).includes(fourth))
  await t.rejects(api.call(archive.getMessage, { messageId: fourth, type: 2 }, { as: carol }), { code: 1400101 })
  t.match(await api.call(archive.getMessage, { messageId: fourth, type: 2, roomJid: jid }, { as: bob }), {
    messageId: fourth,
  })
  t.match(await api.call(archive.listLastChats, {}, { as: bob }), [{ jid, messageId: fourth }])
  t.strictSame(await api.call(archive.listLastChats, {}, { as: carol }), [])
})

test('history, search and the list of chats show a room to its members alone, from their join on', async (t) => {
  const { newRoom, online, rooms, api } = await startRooms(t)
  const jid = await newRoom(alice)
  const speaker = await online(alice)
  sayIn(speaker, jid, 'early secret')
  await eventually(() => saidIn(speaker, jid).includes('early secret'))
  await rooms.add(jid, bob)
  sayIn(speaker, jid, 'late secret')
  await eventually(() => saidIn(speaker, jid).includes('late secret'))
  const found = async (as: number) =>
    (await api.call(search.searchMessages, { keyword: 'secret' }, { as })).pageData.map(({ content }) => content)
  await eventually(async () => (await found(alice)).length === 2)
  t.strictSame([await found(bob), await found(carol)], [['late secret'], []])
  const history = async (as: number) =>
    (await api.call(archive.listRoomHistory, { roomId: jid, maxType: 100 }, { as })).map(({ content }) => content)
  t.strictSame(await history(alice), ['late secret', 'early secret'])
  t.strictSame([await history(bob), await history(carol)], [['late secret'], []])
  await rooms.remove(jid, bob)
  t.strictSame([await found(bob), await history(bob)], [[], []])
  t.strictSame(await api.call(archive.listLastChats, {}, { as: bob }), [])
})

test('who comes back sees nothing of the time between, whatever clocks of senders say', async (t) => {
  const { newRoom, online, rooms, api } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const speaker = await online(alice)
  await joined(speaker, jid)
  const say = async (content: string, seconds = 0) => {
    const id = sayIn(speaker, jid, content, { timeSend: Date.now() / 1000 + seconds })
    await eventually(() => speaker.receipts.includes(id))
    return id
  }
  const before = await say('a secret before')
  await rooms.remove(jid, bob)
  const hidden = [before, await say('a secret between'), await say('a secret of a fast clock', 250)]
  await rooms.add(jid, bob)
  const as = bob
  const found = async () => await api.call(search.searchMessages, { keyword: 'secret', roomId: jid }, { as })
  const history = async () => {
    const rows = await api.call(archive.listRoomHistory, { roomId: jid, maxType: 100 }, { as })
    return rows.map(({ content }) => content)
  }
  const heard = async () => {
    const stream = await online(bob, { resource: `r${Math.random()}` })
    await joined(stream, jid, `seconds='86400'`)
    return saidIn(stream, jid)
  }
  await eventually(async () => {
    const { total } = await api.call(search.searchMessages, { keyword: 'secret', roomId: jid }, { as: alice })
    return total === 3
  })
  t.match(await found(), { total: 0, pageData: [] })
  t.strictSame([await history(), await heard()], [[], []])
  t.strictSame(await api.call(archive.listLastChats, {}, { as }), [])
  for (const messageId of hidden) {
    const asked = { messageId, type: 2, roomJid: jid } as const
    await t.rejects(api.call(archive.getMessage, asked, { as }), failure('MessageNotFound'))
    await api.call(archive.deleteMessages, { messageId: [messageId] as never, type: 2, delete: 1 }, { as })
  }
  const late = await say('a secret of a slow clock', -3600)
  t.match(await eventually(async () => (await found()).total > 0 && (await found())), {
    total: 1,
    pageData: [{ messageId: late }],
  })
  t.strictSame([await history(), await heard()], [['a secret of a slow clock'], ['a secret of a slow clock']])
  t.match(await api.call(archive.listLastChats, {}, { as }), [{ jid, messageId: late }])
  t.match(await api.call(archive.getMessage, { messageId: late, type: 2 }, { as }), { messageId: late })
  await rooms.add(jid, carol)
  const last = await say('for a newcomer', -600)
  t.match(await api.call(archive.listLastChats, {}, { as: carol }), [{ jid, messageId: last }])
})

test('who joins a busy room reads its history and their list of chats without reading what is not theirs', async (t) => {
  const { newRoom, rooms, api, deps } = await startRooms(t)
  const jid = await newRoom(alice)
  const room = roomConversation(jid)
  const now = Date.now()
  const said = (n: number, ts: number, timeSend: number) => ({
    ...{
      _id: new ObjectId(),
      conversation: room,
      roomJid: jid,
      messageId: `${n}`,
      from: alice,
      fromJid: '',
      toJid: '',
    },
    ...{
      body: '{}',
      contentType: 1,
      content: String(n),
      timeSend,
      ts,
      deleteTime: -1,
      isEncrypt: false,
      isRead: false,
    },
    ...{ deletedFor: [], searchable: false, tap: `t:${n}` },
  })
  await deps.messages.collection.insertMany(
    Array.from({ length: 4000 }, (_, n) => said(n, now - 40_000_000 + 10_000 * n, now / 1000 - 40_000 + 10 * n)),
  )
  await rooms.add(jid, bob)
  const since = Date.now()
  await deps.messages.collection.insertOne({ ...said(5000, since + 5, since / 1000 - 7200), late: true })
  await deps.roomChats.collection.updateOne(
    { _id: room },
    { $set: { shown: new ObjectId(), timeSend: since / 1000 + 200, ts: since - 1000 } as never },
    { upsert: true },
  )
  let reads = 0
  const count = ({ commandName, command }: CommandStartedEvent) => {
    if (command[commandName] === 'messages' || (commandName === 'getMore' && command['collection'] === 'messages'))
      reads++
  }
  deps.mongoClient.on('commandStarted', count)
  t.after(() => deps.mongoClient.off('commandStarted', count))
  const page = await api.call(archive.listRoomHistory, { roomId: jid, maxType: 100 }, { as: bob })
  t.strictSame(
    page.map(({ content }) => content),
    ['5000'],
  )
  const ofHistory = reads
  rooms.mode = 'is away'
  t.equal((await api.call(archive.listRoomHistory, { roomId: jid }, { as: bob })).length, 1, 'without a question')
  rooms.mode = 'answers'
  t.match(await api.call(archive.listLastChats, {}, { as: bob }), [{ jid, content: '5000' }])
  t.ok(ofHistory < 10 && reads < 20, `${ofHistory} and ${reads - ofHistory} questions`)

  // More of them than a page holds, three in each of two moments.
  const late = [1, 2, 3, 4, 5, 6].map((n) => {
    const timeSend = Math.floor(since / 1000) - 7300 - 100 * Math.floor((n - 1) / 3)
    return { ...said(6000 + n, since + 10 - n, timeSend), late: true as const }
  })
  await deps.messages.collection.insertMany(late)
  const contents: string[] = []
  for (const pageIndex of [0, 1, 2]) {
    const params = { roomId: jid, maxType: 100, pageSize: 2, pageIndex }
    contents.push(...(await api.call(archive.listRoomHistory, params, { as: bob })).map(({ content }) => content))
  }
  t.strictSame(contents, ['5000', '6001', '6002', '6003', '6004', '6005', '6006'], 'each once')
})

test('a join reads no more of a busy room than it may show', async (t) => {
  const { newRoom, online, deps } = await startRooms(t)
  const jid = await newRoom(alice)
  const stream = await online(alice)
  await joined(stream, jid)
  const sent = Array.from({ length: 60 }, (_, n) => sayIn(stream, jid, `${n}`))
  await eventually(() => sent.every((id) => stream.receipts.includes(id)))
  let read = 0
  const { messages } = deps
  const lastOfRooms = messages.lastOfRooms.bind(messages)
  messages.lastOfRooms = async (...range) => {
    const rows = await lastOfRooms(...range)
    read += rows.length
    return rows
  }
  await joined(stream, jid, `maxstanzas='2'`)
  t.ok(read >= 2 && read <= 25, `${read} messages`)
})

test('many rooms are read with a bounded question, and those that a busy one crowds out by themselves', async (t) => {
  const wanted = Array.from({ length: 100 }, (_, n) => ({ jid: `room ${n}`, since: Date.now() - 1000, messages: 100 }))
  const [asked, apart]: [number[], string[]] = [[], []]
  const messages = {
    async lastOfRooms(_: readonly string[], __: number, most: number) {
      asked.push(most)
      return Array.from({ length: most }, () => ({ roomJid: 'room 0' }) as MessageDocument)
    },
    async lastOfRoom(jid: string) {
      apart.push(jid)
      return []
    },
  } as unknown as MessagesRepository
  const histories = await readHistories({ messages }, wanted, Date.now())
  t.ok(asked.length === 1 && asked[0]! <= 2000, `${asked}`)
  t.strictSame(
    apart,
    wanted.slice(1).map(({ jid }) => jid),
  )
  t.equal(histories.size, 100)
})

test('a notice that was recalled is not said again when its event is told again', async (t) => {
  const { newRoom, online, api, deps } = await startRooms(t)
  const jid = await newRoom(alice)
  const stream = await online(alice)
  await joined(stream, jid)
  const notice = { type: 902, key: '', by: { userId: alice, name: 'a' }, content: 'a name', chatTo: [], inRoom: true }
  const cause = { id: 'event', at: Date.now(), jid, roomId: jid }
  await tellRoom(deps, [notice], cause)
  const said = await deps.messages.collection.findOne({ roomJid: jid, contentType: 902 })
  await api.call(archive.deleteMessages, { messageId: [said!.messageId], delete: 2, roomJid: jid }, { as: alice })
  await tellRoom(deps, [notice], cause)
  await deps.roomFanOut.sent({ kind: 'remove', jid, users: [] })
  t.equal(stream.messages.filter(({ content }) => content === 'a name').length, 1)
})

test('what was said before somebody came back is not told them live when it is late', async (t) => {
  const [near, far] = [await XmppServer.start(), await XmppServer.start()]
  const { newRoom, online, rooms } = await startRooms(t, { servers: [near, far] })
  const jid = await newRoom(alice, [bob, carol])
  const [speaker, back, other] = [await online(alice, { server: far }), await online(bob), await online(carol)]
  const tablet = await online(bob, { resource: 'pc', server: far })
  const between = Date.now() + 1
  await eventually(() => Date.now() > between)
  await rooms.remove(jid, bob)
  await rooms.add(jid, bob)
  for (const stream of [back, other]) await joined(stream, jid)
  // It waited in the log of its server.
  for (const stream of [speaker, tablet])
    stream.say({ to: addressOf(jid), type: 'groupchat', body: { content: `of ${stream.user}` }, stamp: between })
  sayIn(speaker, jid, 'after')
  await eventually(() => [speaker, back, other].every((stream) => saidIn(stream, jid).includes('after')))
  // Their own they get, whenever it came: apps wait for it.
  await eventually(() => saidIn(back, jid).includes(`of ${bob}`))
  t.strictSame(
    [speaker, back, other].map((stream) => saidIn(stream, jid).includes(`of ${alice}`)),
    [true, false, true],
  )
})

test('who is removed while their join is answered gets nothing of what is said from then on', async (t) => {
  const { newRoom, online, rooms, deps } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const [speaker, stream] = [await online(alice), await online(bob)]
  await joined(speaker, jid)
  const { roomFanOut, messages } = deps
  // Nobody is told yet who is out.
  const sent = roomFanOut.sent.bind(roomFanOut)
  roomFanOut.sent = async (order) => {
    if (order.kind === 'remove') throw new Error('broken off')
    await sent(order)
  }
  const { promise, resolve } = Promise.withResolvers<void>()
  const lastOfRooms = messages.lastOfRooms.bind(messages)
  let isReading = false
  messages.lastOfRooms = async (...range) => {
    isReading = true
    await promise
    return await lastOfRooms(...range)
  }
  join(stream, jid, `seconds='3600'`)
  await eventually(() => isReading)
  await rooms.remove(jid, bob)
  const id = sayIn(speaker, jid, 'not for bob')
  await eventually(() => speaker.receipts.includes(id))
  resolve()
  await eventually(() => presencesOf(stream, jid).length > 0)
  t.match(presencesOf(stream, jid), [{ kind: 'error', condition: 'registration-required' }])
  t.strictSame(saidIn(stream, jid), [])
  roomFanOut.sent = sent
})

test('who is removed while their question is answered is told nothing that was said since, though they come back', async (t) => {
  const { newRoom, online, rooms, deps, api } = await startRooms(t)
  const { messages, roomChats, chats } = deps
  const speaker = await online(alice)
  for (const comesBack of [false, true]) {
    const jid = await newRoom(alice, [bob])
    await joined(speaker, jid)
    const asked = new Set<string>()
    const gate = Promise.withResolvers<void>()
    /** Keeps waiting what is read when it is known which rooms somebody is in. */
    const hold = (owner: object, name: string) => {
      const methods = owner as Record<string, (...args: unknown[]) => Promise<unknown>>
      const read = methods[name]!.bind(owner)
      methods[name] = async (...args) => {
        asked.add(name)
        await gate.promise
        return await read(...args)
      }
      return () => void delete methods[name]
    }
    const releases = [hold(messages, 'inRooms'), hold(roomChats, 'byIds'), hold(chats, 'clearedBy')]
    const newestFirst = messages.newestFirst.bind(messages)
    messages.newestFirst = async function* (...args: Parameters<typeof newestFirst>) {
      asked.add('newestFirst')
      await gate.promise
      yield* newestFirst(...args)
    } as typeof newestFirst
    const messageId = (comesBack ? 'd' : 'e').repeat(32)
    const answers = Promise.allSettled([
      api.call(archive.listRoomHistory, { roomId: jid, maxType: 100 }, { as: bob }),
      api.call(archive.getMessage, { messageId, type: 2, roomJid: jid }, { as: bob }),
      api.call(archive.listLastChats, {}, { as: bob }),
      api.call(search.searchMessages, { keyword: 'secret', roomId: jid }, { as: bob }),
    ])
    await eventually(() => asked.size === 4)
    for (const release of releases) release()
    messages.newestFirst = newestFirst
    await rooms.remove(jid, bob)
    const said = sayIn(speaker, jid, 'a secret', { messageId })
    await eventually(() => speaker.receipts.includes(said))
    if (comesBack) await rooms.add(jid, bob)
    gate.resolve()
    const [history, message, list, found] = await answers
    t.match([history, list], [{ value: { length: 0 } }, { value: { length: 0 } }])
    t.match(message, { reason: { errorName: 'MessageNotFound' } })
    t.match(found, { value: { total: 0, pageData: { length: 0 } } })
  }
})

test('a join that fails while it is answered is answered a little later', async (t) => {
  const { newRoom, online, deps, xmpp } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const stream = await online(bob)
  const { occupants } = deps
  const isJoining = occupants.isJoining.bind(occupants)
  let calls = 0
  occupants.isJoining = (...join) => {
    // The first call is about what is to be read for it.
    if (++calls === 2) throw new Error('broken off')
    return isJoining(...join)
  }
  await joined(stream, jid)
  t.ok(calls > 2)
  t.strictSame(
    presencesOf(stream, jid).map(({ nick }) => nick),
    [String(bob)],
  )
  await xmpp.drained()
})

test('what a server has not read when its connection breaks is answered again', async (t) => {
  const { newRoom, online, deps, xmpp } = await startRooms(t)
  const [jid, other] = [await newRoom(alice, [bob]), await newRoom(alice)]
  const [stream, speaker] = [await online(bob), await online(alice)]
  await joined(speaker, jid)
  const isPresence = ({ name, attrs }: Element) => name === 'deliver' && attrs['name'] === 'presence'

  let lost = xmpp.cutAt(isPresence)
  join(stream, jid)
  await lost
  await eventually(() => stream.notes.size === 1)
  t.equal(presencesOf(stream, jid).filter(({ codes }) => codes.includes(110)).length, 1, 'a join')

  lost = xmpp.cutAt(({ name, attrs }) => name === 'note' && attrs['value'] === undefined)
  stream.send(`<presence xmlns='jabber:client' type='unavailable' to='${addressOf(jid, bob)}'/>`)
  await lost
  await eventually(() => stream.notes.size === 0)
  t.notOk(deps.occupants.usersIn(jid).has(bob), 'a leave')

  const { occupantRolls } = deps
  const of = occupantRolls.of.bind(occupantRolls)
  const [asked, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  occupantRolls.of = async (room) => {
    asked.resolve()
    await goOn.promise
    return of(room)
  }
  join(stream, jid)
  await asked.promise
  lost = xmpp.cutAt(() => true)
  xmpp.cut()
  await lost
  goOn.resolve()
  await eventually(() => stream.notes.size === 1)
  t.pass('a join that was under way')

  lost = xmpp.cutAt(isPresence)
  join(stream, other)
  await lost
  await eventually(() => presencesOf(stream, other).length)
  t.match(presencesOf(stream, other), [{ condition: 'registration-required' }], 'a refusal')

  lost = xmpp.cutAt(({ name, children }) => name === 'deliver' && children.join('').includes('urn:xmpp:receipts'))
  const id = sayIn(speaker, jid, 'once')
  await lost
  await eventually(() => speaker.receipts.includes(id))
  t.pass('a receipt')
  await xmpp.drained()
  t.strictSame(saidIn(stream, jid), ['once'])
  t.equal(await deps.messages.collection.countDocuments({ messageId: id }), 1)

  // Nothing behind what is not confirmed is released.
  await online(carol, { confirming: false })
  speaker.say({ to: carol })
  await joined(stream, jid, `seconds='3600'`)
  const { length } = saidIn(stream, jid)
  t.equal(length, 2, 'live, and in the history')
  const own = () => presencesOf(stream, jid).filter(({ codes }) => codes.includes(110)).length
  const before = own()
  xmpp.cut()
  await eventually(() => own() > before)
  sayIn(speaker, jid, 'last')
  await eventually(() => saidIn(stream, jid).includes('last'))
  t.equal(saidIn(stream, jid).length, length + 1, 'a join that the server knows of needs no history again')
})

test('a request to join goes to the owner or an admin, of who is no member or from a member for others', async (t) => {
  const { newRoom, online } = await startRooms(t)
  const jid = await newRoom(alice, [bob])
  const [owner, member, stranger] = [await online(alice), await online(bob), await online(carol)]
  const outcome = async (stream: typeof owner, to: number, isInvite: unknown, roomJid: unknown = jid) => {
    const objectId = JSON.stringify({ isInvite, userIds: String(stream.user), userNames: 'n', roomJid, reason: '' })
    const id = stream.say({ to, body: { type: 916, content: '', objectId } })
    await eventually(() => stream.refusals.has(id) || stream.receipts.includes(id))
    return stream.refusals.get(id) ?? 'taken'
  }
  t.strictSame([await outcome(stranger, alice, '1'), await outcome(member, alice, 0)], ['taken', 'taken'])
  await eventually(() => owner.messages.filter(({ body }) => JSON.parse(body).type === 916).length === 2)
  t.strictSame(
    [
      await outcome(stranger, bob, '1'),
      await outcome(stranger, alice, '0'),
      await outcome(member, alice, true),
      await outcome(stranger, alice, '1', 'f'.repeat(32)),
      await outcome(stranger, alice, '1', ''),
    ],
    Array(5).fill('not-allowed'),
  )
})

test('what is pushed of a room though it is not archived is announced once, with whom it names and no text', async (t) => {
  const { newRoom, online, xmpp, env } = await startRooms(t)
  const events = await recordEvents(t, env, roomMessagesPassed)
  const jid = await newRoom(alice, [bob, carol])
  const stream = await online(alice)
  const burns = { isReadDel: 1 }
  const announced = [
    sayIn(stream, jid, 'burns', { ...burns, objectId: `${bob} ${'9'.repeat(10)} x` }),
    sayIn(stream, jid, 'burns', { ...burns, objectId: jid.toUpperCase(), isEncrypt: 1 }),
    sayIn(stream, jid, 'a card', { ...burns, type: 8, objectId: String(bob) }),
    sayIn(stream, jid, '', { type: 110 }),
    sayIn(stream, jid, '', { type: 115, objectId: 'meeting' }),
  ]
  for (const more of [{}, { type: 201 }, { type: 102 }, { type: 95, ...burns }]) sayIn(stream, jid, 'quiet', more)
  sayIn(stream, jid, 'burns', { ...burns, messageId: announced[0]! })
  await xmpp.drained()
  xmpp.cut() // the log is told again
  announced.push(sayIn(stream, jid, '', { type: 120 }))
  const all = () => events.flatMap(({ messages }) => messages)
  await eventually(() => all().some(({ messageId }) => messageId === announced.at(-1)))
  t.strictSame(
    all().map(({ messageId }) => messageId),
    announced,
  )
  t.match(all().slice(0, 3), [
    { from: alice, roomJid: jid, contentType: 1, isReadDel: true, mentioned: [bob], mentionsAll: false },
    { isEncrypt: true, mentioned: [], mentionsAll: true },
    { contentType: 8, mentioned: [], mentionsAll: false },
  ])
  t.notMatch(JSON.stringify(events), /burns/)
})

test('in a room of 500, half of them online, everybody who is there hears all, and the others find it', async (t) => {
  const { rooms, online, xmpp, api } = await startRooms(t)
  const jid = '5'.repeat(32)
  const members = Array.from({ length: 500 }, (_, n) => 10_000_001 + n)
  rooms.stock([jid], members)
  const streams = await Promise.all(members.slice(0, 250).map((user) => online(user)))
  for (const stream of streams) join(stream, jid)
  const isIn = (stream: (typeof streams)[number]) =>
    stream.received.some(({ stanza }) => stanza.getChild('subject') !== undefined)
  await eventually(() => streams.every(isIn), 30_000)
  for (const stream of streams.slice(0, 20)) sayIn(stream, jid, stream.user)
  await eventually(() => streams.every((stream) => saidIn(stream, jid).length === 20), 30_000)
  await xmpp.drained()
  const [first] = streams
  for (const stream of streams) t.strictSame(saidIn(stream, jid).sort(), saidIn(first!, jid).sort())
  const away = members.at(-1)!
  const history = await api.call(archive.listRoomHistory, { roomId: jid, maxType: 100, pageSize: 50 }, { as: away })
  t.equal(history.length, 20)
})

test('a message costs a few rows, in a room of 10,000 members as in one of two', async (t) => {
  const { rooms, online, deps, xmpp } = await startRooms(t)
  const [small, large] = ['1'.repeat(32), '2'.repeat(32)]
  const crowd = Array.from({ length: 9_998 }, (_, n) => 20_000_000 + n)
  rooms.stock([small], [alice, bob])
  rooms.stock([large], [alice, bob, ...crowd])
  const [speaker, member] = [await online(alice), await online(bob)]
  for (const jid of [small, large]) for (const stream of [speaker, member]) await joined(stream, jid)
  // Leases, the index of the search and the rows of told events that go are written now and then, whatever is said.
  const isOfMessage = (commandName: string, collection: string) =>
    /^(messages|mailbox|.*chats|outbox)/.test(collection) && !(commandName === 'delete' && collection === 'outbox')
  let rows = 0
  const count = (event: CommandStartedEvent) => {
    for (const [collection, writes] of writesOf(event, deps.db))
      if (isOfMessage(event.commandName, collection)) rows += writes
  }
  deps.mongoClient.on('commandStarted', count)
  t.after(() => deps.mongoClient.off('commandStarted', count))
  const costOfOne = async (jid: string) => {
    rows = 0
    const id = sayIn(speaker, jid, 'hi')
    await eventually(() => speaker.receipts.includes(id) && member.messages.some((message) => message.id === id))
    await xmpp.drained()
    return rows
  }
  // The least of some: a transaction that conflicts is written again.
  for (const jid of [small, large]) {
    const rows = Math.min(await costOfOne(jid), await costOfOne(jid), await costOfOne(jid))
    t.ok(rows > 0 && rows < 8, `${rows} rows`)
  }
})
