import { type Call, ContractError } from '@im/contracts'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { lengthOf, longestCourse, recordMessages } from './record-messages.ts'

export interface NewCourse {
  courseName: string
  roomJid: string
  messageIds: readonly string[]
  createTime?: number
}

/** Records a course of messages that the caller wrote. Throws MessageNotFound when none of them can be used. */
export async function addCourse(
  deps: Deps,
  userId: number,
  { courseName, roomJid, messageIds, createTime }: NewCourse,
  waiting: Pick<Call, 'deadline' | 'signal'>,
): Promise<void> {
  const { courses, outbox, now } = deps
  const _id = new ObjectId()
  const messages = await recordMessages(deps, { userId, courseId: _id, roomJid, messageIds }, waiting)
  if (!messages.length) throw new ContractError('MessageNotFound')
  if (lengthOf(messages) > longestCourse) throw new ContractError('RequestTooLarge', { detail: 'messageIds' })
  const updateTime = Math.floor(now() / 1000)
  const recorded = messages.map(({ messageId }) => messageId)
  const times = { createTime: createTime ?? updateTime, updateTime }
  const course = { _id, userId, courseName, roomJid, ...times, messageIds: recorded }
  await outbox.commit((change) => courses.add(course, messages, change))
}
