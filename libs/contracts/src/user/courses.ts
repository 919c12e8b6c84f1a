import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { List, Name, Oid, RoomRef, Self, Text, Time } from '../param-types.ts'
import { Nothing, UnixSeconds } from '../result-types.ts'

export const Course = Type.Object({
  courseId: Type.String(),
  userId: Type.Integer(),
  courseName: Type.String(),
  roomJid: Type.String({ description: '0: of a single chat' }),
  createTime: UnixSeconds(),
  updateTime: UnixSeconds(),
  messageIds: Type.Array(Type.String()),
})

const CourseMessage = Type.Object({
  courseId: Type.String(),
  courseMessageId: Type.String(),
  messageId: Type.String(),
  message: Type.String({ description: 'body of the message, a JSON text' }),
  userId: Type.Integer(),
  createTime: UnixSeconds(),
})

const messageIds = () => List({ item: Text({ maxLength: 128 }), description: 'messages of the caller, in this order' })
const courseId = () => Oid({ notFound: 'CourseNotFound' })

/** Lectures that users recorded: messages of their own, in an order, to be sent again. */
export const courses = contract('user', {
  addCourse: {
    path: '/course/add',
    aliases: ['/user/course/add'],
    summary: { zh: '添加课程', en: 'Record a course' },
    auth: 'user',
    params: Type.Object({
      userId: Self(),
      messageIds: messageIds(),
      createTime: Type.Optional(Time()),
      courseName: Name({ maxLength: 64 }),
      roomJid: RoomRef({ default: '0' }),
    }),
    result: Nothing,
    errors: ['CourseNotAllowed', 'NotRoomMember', 'MessageNotFound'],
    limits: [{ by: 'user', max: 200, seconds: 86_400 }],
  },
  listCourses: {
    path: '/user/course/list',
    aliases: ['/course/list'],
    summary: { zh: '课程列表', en: 'Own courses' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Self() }),
    result: Type.Array(Course),
  },
  getCourse: {
    path: '/user/course/get',
    aliases: ['/course/get'],
    summary: { zh: '课程详情', en: 'The messages of a course' },
    auth: 'user',
    safe: true,
    params: Type.Object({ courseId: courseId() }),
    result: Type.Array(CourseMessage),
    errors: ['CourseNotFound'],
  },
  updateCourse: {
    path: '/user/course/update',
    aliases: ['/course/update'],
    summary: { zh: '修改课程', en: 'Change a course' },
    auth: 'user',
    params: Type.Object({
      courseId: courseId(),
      courseName: Type.Optional(Name({ maxLength: 64 })),
      messageIds: Type.Optional(messageIds()),
      courseMessageId: Type.Optional(Oid({ description: 'the message to remove' })),
      updateTime: Type.Optional(Time()),
    }),
    result: Nothing,
    errors: ['CourseNotFound', 'CourseNotAllowed', 'NotRoomMember', 'MessageNotFound'],
  },
  deleteCourses: {
    path: '/user/course/delete',
    aliases: ['/course/delete'],
    summary: { zh: '删除课程', en: 'Delete courses' },
    auth: 'user',
    params: Type.Object({ courseId: List() }),
    result: Nothing,
    errors: ['CourseNotFound'],
  },
})
