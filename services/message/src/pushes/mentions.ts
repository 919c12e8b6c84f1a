export interface Mentions {
  mentioned: number[]
  mentionsAll: boolean
}

const mostMentions = 1000
const highestUserId = 2 ** 31 - 1

/** Whom a text in a room names: `objectId` holds userIds separated by blanks, or the jid of the room, which names all. */
export function mentionsIn(objectId: string, roomJid: string): Mentions {
  const text = objectId.trim()
  if (text.toLowerCase() === roomJid) return { mentioned: [], mentionsAll: true }
  const ids = text.split(/[\s,]+/, mostMentions).filter((id) => /^[1-9]\d{0,9}$/.test(id))
  return { mentioned: ids.map(Number).filter((id) => id <= highestUserId), mentionsAll: false }
}
