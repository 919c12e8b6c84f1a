/** Names of conversations: `u:<low>:<high>` for the single chat of two users, `r:<room jid>` for a room. */

export const singleConversation = (a: number, b: number) => (a < b ? `u:${a}:${b}` : `u:${b}:${a}`)

export const roomConversation = (jid: string) => `r:${jid}`

/** The two users of a single chat, the lower id first; undefined for a room. */
export function usersOf(conversation: string): [low: number, high: number] | undefined {
  if (!conversation.startsWith('u:')) return undefined
  const [low = 0, high = 0] = conversation.slice(2).split(':').map(Number)
  return [low, high]
}
