import { hash } from 'node:crypto'
import { usersOf } from '../messages/conversations.ts'

/**
 * Whose index a message is in: each of the two users of a single chat has one (`u:<id>`), and each room (`r:<jid>`). So a search
 * reads one index, however many chats its caller has.
 */
export type Owner = string

export const ownerOfUser = (user: number): Owner => `u:${user}`

export const ownersOf = (conversation: string): Owner[] => usersOf(conversation)?.map(ownerOfUser) ?? [conversation]

/** Nodes of the tree are named by the first digits of the hash of those whose rows they hold. */
export const deepestLevel = 8

/** The nodes a row of this owner sinks through, from the top. */
export function pathOf(owner: Owner): string[] {
  const digits = hash('md5', owner, 'hex')
  return Array.from({ length: deepestLevel }, (_, level) => digits.slice(0, level + 1))
}
