import { courses, internalUsers } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('courses', async (t) => {
  const { api, internal, person, peers, deps } = await startUser(t)
  const alice = await person('alice')
  const bob = await person('bob')
  const as = { as: alice.caller }
  const room = 'c'.repeat(32)
  const members = new Map<number, 1 | 2 | 3 | 4>([[alice.userId, 3]])
  peers.rooms.set(room, { roomId: 'd'.repeat(24), jid: room, members, allowSpeakCourse: 1 })
  const readers = [alice.userId, bob.userId]
  for (const messageId of ['m1', 'm2', 'm3', 'm4'])
    peers.messages.push({ messageId, from: alice.userId, body: `{"content":"${messageId}"}`, type: 1, readers })
  peers.messages.push({ messageId: 'b1', from: bob.userId, body: '{}', type: 1, readers })
  peers.messages.push({ messageId: 'r1', from: alice.userId, body: '{"content":"r1"}', type: 1, readers, room })
  const list = () => api.call(courses.listCourses, {}, as)
  const messagesOf = async (courseId: string) =>
    (await api.call(courses.getCourse, { courseId }, as)).map(({ message }) => JSON.parse(message).content as string)

  t.test('a course holds own messages in their order', async (t) => {
    const made = { courseName: ' first\u200b ', messageIds: 'm2,b1,m1,gone', createTime: 1_600_000_000 }
    await api.call(courses.addCourse, { ...made, userId: alice.userId }, as)
    const [course] = await list()
    t.match(course, {
      courseName: 'first',
      roomJid: '0',
      createTime: 1_600_000_000,
      messageIds: ['m2', 'm1'],
      userId: alice.userId,
    })
    t.strictSame(await messagesOf(course?.courseId ?? ''), ['m2', 'm1'])
    for (const messageIds of ['b1', 'gone'])
      await t.rejects(api.call(courses.addCourse, { ...made, messageIds }, as), failure('MessageNotFound'))
    await t.rejects(api.call(courses.addCourse, { ...made, courseName: '\u3164' }, as), failure('InvalidParams'))
    await t.rejects(api.call(courses.addCourse, { ...made, userId: bob.userId }, as), failure('PermissionDenied'))
  })

  t.test('rooms say who may record', async (t) => {
    const made = { courseName: 'lecture', messageIds: 'r1', roomJid: room }
    await api.call(courses.addCourse, made, as)
    const stored = peers.rooms.get(room)
    if (stored) stored.allowSpeakCourse = 0
    await t.rejects(api.call(courses.addCourse, made, as), failure('CourseNotAllowed'))
    members.set(alice.userId, 2)
    await api.call(courses.addCourse, made, as)
    members.delete(alice.userId)
    await t.rejects(api.call(courses.addCourse, made, as), failure('NotRoomMember'))
    await t.rejects(api.call(courses.addCourse, { ...made, roomJid: 'e'.repeat(32) }, as), failure('NotRoomMember'))
    t.equal((await list()).length, 3)
  })

  t.test('a course changes: its name, its order, what is in it', async (t) => {
    const { courseId = '' } = (await list())[0] ?? {}
    const update = (params: object) => api.call(courses.updateCourse, { courseId, ...params }, as)
    await update({ courseName: 'renamed', updateTime: 1_700_000_000 })
    t.match((await list())[0], { courseName: 'renamed', updateTime: 1_700_000_000, messageIds: ['m2', 'm1'] })
    await update({ messageIds: 'm1,m3,b1,m2' })
    t.strictSame(await messagesOf(courseId), ['m1', 'm3', 'm2'])
    const messages = await api.call(courses.getCourse, { courseId }, as)
    await update({ courseMessageId: messages[1]?.courseMessageId })
    t.strictSame(await messagesOf(courseId), ['m1', 'm2'])
    peers.messages.splice(0, 4)
    await update({ messageIds: 'm2' })
    t.strictSame(await messagesOf(courseId), ['m2'], 'a recalled message stays in the course')
    await t.rejects(update({ messageIds: 'm4' }), failure('MessageNotFound'))
    t.strictSame(await messagesOf(courseId), ['m2'], 'nothing changed')
  })

  t.test('whoever records very much gets the oldest of it', async (t) => {
    const { userId, caller } = await person('carol')
    const messageIds = Array.from({ length: 1000 }, (_, n) => String(n).padStart(128, 'x'))
    const course = { userId, courseName: 'c', roomJid: '0', createTime: 1, updateTime: 1, messageIds }
    await deps.db.collection('courses').insertMany(Array.from({ length: 40 }, () => ({ ...course })))
    t.equal((await api.call(courses.listCourses, {}, { as: caller })).length, 32, 'four million characters of ids')
  })

  t.test('courses are their owner’s alone', async (t) => {
    const { courseId = '' } = (await list())[0] ?? {}
    const other = { as: bob.caller }
    for (const id of [courseId, 'f'.repeat(24), 'nonsense'])
      await t.rejects(api.call(courses.getCourse, { courseId: id }, other), failure('CourseNotFound'), id)
    const renamed = { courseId, courseName: 'mine' }
    await t.rejects(api.call(courses.updateCourse, renamed, other), failure('CourseNotFound'))
    await t.rejects(api.call(courses.deleteCourses, { courseId }, other), failure('CourseNotFound'))
    await api.call(courses.deleteCourses, { courseId: `${courseId},nonsense` }, as)
    await t.rejects(api.call(courses.getCourse, { courseId }, as), failure('CourseNotFound'))
    t.equal((await list()).length, 2)
    t.equal(await deps.db.collection('course-messages').countDocuments({ userId: alice.userId }), 2)
    await internal.call(internalUsers.deleteUser, { userId: alice.userId })
    await eventually(async () => !(await deps.db.collection('course-messages').findOne({ userId: alice.userId })))
  })
})
