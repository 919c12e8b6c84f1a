import { archive } from '@im/contracts/message'
import type { TestClient } from '@im/service-kit/testing'
import { type Histories, historyKey, type Row, roomKey } from './judge.ts'
import type { Room } from './room.ts'

/** Whose chats are read: with whom they write, and with whom others of the same list do. */
export interface Reader {
  userId: number
  token: string
  peers: readonly number[]
  /** Rooms they are in, or were; those they own are read by them. */
  rooms?: readonly Room[]
}

/**
 * Both sides of every chat, oldest first, by the API. One that can't be read is left out, and after it the rest: a stack that
 * does not answer is not asked for each chat.
 */
export async function readHistories(people: readonly Reader[], api: TestClient): Promise<Histories> {
  const histories = new Map<string, Row[]>()
  for (const { userId, token, peers } of people) {
    const partners = people.filter((other) => other.peers.includes(userId) || peers.includes(other.userId))
    for (const { userId: receiver } of partners) {
      const rows = await readHistory(receiver, token, api).catch(() => undefined)
      if (!rows) return histories
      histories.set(historyKey(userId, receiver), rows)
    }
  }
  for (const { userId, token, rooms = [] } of people) {
    for (const { jid } of rooms.filter(({ owner }) => owner === userId)) {
      const rows = await readRoom(jid, token, api).catch(() => undefined)
      if (!rows) return histories
      histories.set(roomKey(jid), rows)
    }
  }
  return histories
}

/** What people have said in a room, as its owner may read it. */
async function readRoom(jid: string, token: string, api: TestClient): Promise<Row[]> {
  const rows: Row[] = []
  for (let pageIndex = 0; ; pageIndex++) {
    const params = { roomId: jid, pageIndex, pageSize: 1000, maxType: 500 }
    const page = await api.call(archive.listRoomHistory, params, { token })
    rows.push(...page.map(({ messageId, body }) => ({ messageId, body, isRead: false })))
    if (page.length < 1000) return rows.reverse()
  }
}

async function readHistory(receiver: number, token: string, api: TestClient): Promise<Row[]> {
  const rows: Row[] = []
  for (let pageIndex = 0; ; pageIndex++) {
    const page = await api.call(
      archive.listSingleHistory,
      { receiver, pageIndex, pageSize: 1000, maxType: 1000 },
      { token },
    )
    rows.push(...page.map(({ messageId, body, isRead }) => ({ messageId, body, isRead: isRead === 1 })))
    if (page.length < 1000) return rows.reverse()
  }
}
