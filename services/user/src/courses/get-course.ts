import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import type { CourseMessageDocument } from './courses-repository.ts'

/** The messages of a course of the caller, in their order. */
export async function getCourse(
  { courses }: Pick<Deps, 'courses'>,
  userId: number,
  courseId: string,
): Promise<CourseMessageDocument[]> {
  const course = await courses.find(userId, courseId)
  if (!course) throw new ContractError('CourseNotFound')
  const messages = new Map((await courses.messagesOf(course._id)).map((message) => [message.messageId, message]))
  return course.messageIds.map((id) => messages.get(id)).filter((message) => message !== undefined)
}
