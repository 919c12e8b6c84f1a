import { type Call, ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import type { CourseDocument, CourseMessageDocument } from './courses-repository.ts'
import { lengthOf, longestCourse, recordMessages } from './record-messages.ts'

export interface CourseUpdate {
  courseId: string
  courseName?: string
  /** What is in the course from now on, in this order. */
  messageIds?: readonly string[]
  /** A message to remove. */
  courseMessageId?: string
  updateTime?: number
}

/** Changes a course of the caller. Messages that are new in it are recorded as in a new course. */
export async function updateCourse(
  deps: Deps,
  userId: number,
  update: CourseUpdate,
  waiting: Pick<Call, 'deadline' | 'signal'>,
): Promise<void> {
  const { courses, outbox } = deps
  const course = await courses.find(userId, update.courseId)
  if (!course) throw new ContractError('CourseNotFound')
  const unknown = update.messageIds?.filter((id) => !course.messageIds.includes(id)) ?? []
  const { _id: courseId, roomJid } = course
  const recorded = unknown.length
    ? await recordMessages(deps, { userId, courseId, roomJid, messageIds: unknown }, waiting)
    : []
  await outbox.commit(async (change) => {
    const whole = await courses.whole(userId, update.courseId, change)
    if (!whole) throw new ContractError('CourseNotFound')
    const { course: current, messages: before } = whole
    const after = messagesAfter(current, before, recorded, update)
    if (update.messageIds?.length && !after.length) throw new ContractError('MessageNotFound')
    if (lengthOf(after) > longestCourse) throw new ContractError('RequestTooLarge', { detail: 'messageIds' })
    const { courseName = current.courseName, updateTime = Math.floor(deps.now() / 1000) } = update
    const messageIds = after.map(({ messageId }) => messageId)
    const kept = new Set(after)
    const removed = before.filter((message) => !kept.has(message)).map(({ _id }) => _id)
    const added = after.filter((message) => !before.includes(message))
    courses.replace({ ...current, courseName, updateTime, messageIds }, { added, removed }, change)
  })
}

function messagesAfter(
  current: CourseDocument,
  before: readonly CourseMessageDocument[],
  recorded: readonly CourseMessageDocument[],
  { messageIds = current.messageIds, courseMessageId }: CourseUpdate,
): CourseMessageDocument[] {
  const known = new Map([...recorded, ...before].map((message) => [message.messageId, message]))
  const inOrder = messageIds.map((id) => known.get(id)).filter((message) => message !== undefined)
  return inOrder.filter(({ _id }) => _id.toHexString() !== courseMessageId)
}
