import type { MessageDocument } from '../messages/message-document.ts'

/** A room the caller is in. */
export interface JoinedRoom {
  roomId: string
  jid: string
  /** Messages before this moment (seconds, with a fraction) are not theirs. */
  joinedAt: number
}

/** When a member joined, in ms. */
export const sinceOf = ({ joinedAt }: Pick<JoinedRoom, 'joinedAt'>) => Math.round(joinedAt * 1000)

/** Whether a member may see what came to a room then: `ts` in ms. Who left and came back sees nothing of the time between. */
export const isSince = (room: Pick<JoinedRoom, 'joinedAt'>, { ts }: Pick<MessageDocument, 'ts'>) => ts >= sinceOf(room)
