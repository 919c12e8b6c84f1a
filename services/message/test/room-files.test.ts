import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errors } from '@im/contracts'
import { internalMemberships, roomDissolved, sharesDropped } from '@im/contracts/room'
import { userDeleted } from '@im/contracts/user'
import { eventPublisher, eventually, stub, stubServices } from '@im/service-kit/testing'
import { test } from 'tap'
import { roomAvatarKey } from '../src/files/file-keys.ts'
import { roomConversation } from '../src/messages/conversations.ts'
import { stateOf } from './room-service.ts'
import { base, formOf, photo, startFiles, type Uploaded, uploadPath } from './start-files.ts'

test('the avatar of a room is replaced by its owner and admins', async (t) => {
  const jid = randomBytes(16).toString('hex')
  const roles = new Map<number, number>()
  let locked: 0 | 1 = 0
  const keys = { serviceKeys: ['test-service-key'], callerKeys: [] }
  const rooms = await stubServices(t, keys, [
    stub(internalMemberships.getMembership, (_deps, { params: { userId, room } }) => {
      const exists = room === jid || room === 'a'.repeat(24)
      const of = exists
        ? { roomId: 'a'.repeat(24), jid, role: roles.get(userId) ?? 0 }
        : { roomId: '', jid: '', role: 0 }
      return { exists: exists ? (1 as const) : (0 as const), ...of, allowSpeakCourse: 0 as const, locked }
    }),
  ])
  const { send, read, person, onDisk, deps } = await startFiles(t, { env: { ROOM_URL: rooms } })
  const [owner, admin, member, hidden, stranger] = [person(), person(), person(), person(), person()]
  for (const [n, userId] of [owner, admin, member, hidden].entries()) roles.set(userId, n + 1)
  const image = await photo(60, 40)
  const replace = (as: number, room?: string) =>
    send('/upload/GroupAvatarServlet', formOf(room === undefined ? {} : { jid: room }, ['a.jpg', image]), { as })
  t.equal((await replace(member, jid)).resultCode, errors.PermissionDenied.code)
  for (const other of [hidden, stranger]) t.equal((await replace(other, jid)).resultCode, errors.PermissionDenied.code)
  t.equal((await replace(owner, '0'.repeat(32))).resultCode, errors.RoomNotFound.code)
  t.equal((await replace(owner, '../../x')).resultCode, errors.RoomNotFound.code)
  t.equal((await replace(owner)).resultCode, errors.MissingParam.code)
  locked = 1
  t.equal((await replace(owner, jid)).resultCode, errors.RoomLocked.code)
  locked = 0
  t.strictSame(await onDisk(), [])
  const { data } = await replace(owner, jid)
  t.strictSame(data, { oUrl: base + roomAvatarKey('o', jid), tUrl: base + roomAvatarKey('t', jid) })
  t.equal((await read(data.oUrl)).status, 200)
  t.equal((await read(data.tUrl)).headers.get('content-type'), 'image/jpeg')
  t.equal((await replace(admin, 'a'.repeat(24))).resultCode, 1, 'by the id of the room')
  const byQuery = await send(`/upload/GroupAvatarServlet?jid=${jid}`, formOf({}, ['a.jpg', image]), { as: admin })
  t.equal(byQuery.resultCode, 1)
  await deps.fileRemovals.addRoom(jid)
  await eventually(async () => (await onDisk()).length === 0)
})

test('files of a dissolved room and of a deleted user go', async (t) => {
  const { send, read, person, env, onDisk } = await startFiles(t)
  const publish = eventPublisher(t, env)
  const [alice, bob] = [person(), person()]
  const upload = async (as: number) =>
    (await send(uploadPath, formOf({}, ['a.jpg', await photo(60, 40)]), { as })).data.images[0] as Uploaded
  const [shared, foreign, own] = [await upload(alice), await upload(alice), await upload(alice)]
  const roomId = 'b'.repeat(24)
  const files = [
    { url: shared.oUrl, userId: alice },
    { url: foreign.oUrl, userId: bob },
    { url: 'http://elsewhere.test/x', userId: alice },
  ]
  await publish(sharesDropped, roomId, { roomId, files, at: Date.now() })
  const status = async ({ oUrl }: Uploaded) => (await read(oUrl)).status
  await eventually(async () => (await status(shared)) === 404)
  t.strictSame([await status(foreign), await status(own)], [200, 200])
  await send('/upload/UploadAvatarServlet', formOf({}, ['a.jpg', await photo(60, 40)]), { as: alice })
  await upload(bob)
  await publish(userDeleted, alice, { userId: alice, nickname: 'alice', at: Date.now() })
  await eventually(async () => (await onDisk()).every((name) => name.startsWith(`u/${bob % 10000}/${bob}/`)))
  t.equal((await onDisk()).length, 2)
})

test('what is uploaded beside a deletion or a dissolution, or ends after it, goes as well', async (t) => {
  let now = Date.now()
  const { send, person, deps, onDisk } = await startFiles(t, { overrides: { now: () => now } })
  const [alice, bob] = [person(), person()]
  const { fileStore, fileRemovals } = deps
  const [put, remove] = [fileStore.put.bind(fileStore), fileStore.remove.bind(fileStore)]
  const [isPut, isRemoved, isAnswered] = [0, 1, 2].map(() => Promise.withResolvers<void>()) as [
    PromiseWithResolvers<void>,
    PromiseWithResolvers<void>,
    PromiseWithResolvers<void>,
  ]
  fileStore.put = async (...file) => {
    isPut.resolve()
    await isRemoved.promise
    await put(...file)
  }
  fileStore.remove = async (keys) => {
    await remove(keys)
    isRemoved.resolve()
    await isAnswered.promise
  }
  const beside = send(uploadPath, formOf({}, ['a.txt', 'x']), { as: alice })
  await isPut.promise
  await fileRemovals.addUser(alice)
  await isRemoved.promise
  isAnswered.resolve()
  t.equal((await beside).resultCode, errors.ServiceUnavailable.code)
  t.strictSame(await onDisk(), [])
  Object.assign(fileStore, { put, remove })

  const jid = 'c'.repeat(32)
  await Promise.all([fileRemovals.addUser(bob), fileRemovals.addRoom(jid)])
  await eventually(async () => !(await fileRemovals.next(10, now)).length)
  await send(uploadPath, formOf({}, ['b.txt', 'x']), { as: bob })
  await send('/upload/UploadAvatarServlet', formOf({}, ['a.jpg', await photo(20, 20)]), { as: bob })
  const image = join(deps.config.fileDirectory, 'image')
  await writeFile(image, 'x')
  await put(roomAvatarKey('o', jid), image, { bytes: 1, type: 'image/jpeg' })
  t.equal((await onDisk()).length, 4)
  now += 3_600_000
  await eventually(async () => !(await onDisk()).length)
  t.equal(await deps.db.collection('fileRemovals').countDocuments(), 0)
})

test('the events of a room whose long history goes are not kept waiting, and all of it goes', async (t) => {
  const { person, env, deps, log } = await startFiles(t)
  const publish = eventPublisher(t, env)
  const alice = person()
  const room = stateOf(randomBytes(16).toString('hex'), alice)
  const { roomId, jid } = room
  for (let part = 0; part < 3; part++)
    await log.archive(Array.from({ length: 400 }, (_, n) => log.entry(alice, jid, { content: `${part} ${n}` })))
  // Without an XMPP server nobody takes this for ten seconds.
  deps.roomFanOut.sent = async () => {}
  const isHeld = Promise.withResolvers<void>()
  const { removals } = deps.searchIndex
  const addForAll = removals.addForAll.bind(removals)
  removals.addForAll = async (...lost) => {
    await isHeld.promise
    await addForAll(...lost)
  }
  const by = { userId: alice, name: 'alice' }
  await publish(roomDissolved, roomId, { room, by, at: Date.now(), memberIds: [alice] })
  await publish(sharesDropped, roomId, {
    roomId,
    files: [{ url: `${base}u/1/1/202601/f/${randomBytes(16).toString('hex')}.bin`, userId: alice }],
    at: Date.now(),
  })
  const waiting = async () => (await deps.fileRemovals.next(10, Date.now())).map(({ _id }) => _id)
  await eventually(async () => (await waiting()).length === 2)
  const left = () => deps.messages.collection.countDocuments({ roomJid: jid, gone: { $exists: false } })
  t.equal(await left(), 1200)
  isHeld.resolve()
  await eventually(async () => (await left()) === 0 && !(await waiting()).length)
  t.strictSame(await deps.roomChats.byIds([roomConversation(jid)]), [])
})
