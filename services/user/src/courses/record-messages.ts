import { type Call, ContractError } from '@im/contracts'
import { internalMemberships } from '@im/contracts/room'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { readMessages } from '../messages/read-messages.ts'
import type { CourseMessageDocument } from './courses-repository.ts'

/** All bodies of a course together, so that it can be answered at once. */
export const longestCourse = 4 * 1024 * 1024

interface Recording {
  userId: number
  courseId: ObjectId
  /** `0`: of a single chat. */
  roomJid: string
  messageIds: readonly string[]
}

/**
 * Copies the messages that the user wrote and can read; others are skipped. Throws NotRoomMember, and CourseNotAllowed when the
 * room does not let its members record.
 */
export async function recordMessages(
  deps: Deps,
  { userId, courseId, roomJid, messageIds }: Recording,
  waiting: Pick<Call, 'deadline' | 'signal'>,
): Promise<CourseMessageDocument[]> {
  const room = roomJid === '0' ? undefined : roomJid
  if (room !== undefined) await admit(deps, userId, room, waiting)
  const found = await readMessages(deps, { userId, messageIds, room }, waiting)
  const createTime = Math.floor(deps.now() / 1000)
  return messageIds.flatMap((messageId) => {
    const read = found.get(messageId)
    if (read?.from !== userId) return []
    return [{ _id: new ObjectId(), courseId, userId, messageId, message: read.body, createTime }]
  })
}

async function admit({ room }: Deps, userId: number, jid: string, waiting: Pick<Call, 'deadline' | 'signal'>) {
  const membership = await room.call(internalMemberships.getMembership, { userId, room: jid }, waiting)
  if (!membership.role) throw new ContractError('NotRoomMember')
  // Owners and admins may always record.
  if (!membership.allowSpeakCourse && membership.role >= 3) throw new ContractError('CourseNotAllowed')
}

export const lengthOf = (messages: readonly Pick<CourseMessageDocument, 'message'>[]) =>
  messages.reduce((length, { message }) => length + Buffer.byteLength(message), 0)
