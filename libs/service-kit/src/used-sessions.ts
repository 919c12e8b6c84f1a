import type { Binary, ClientSession, MongoClient } from 'mongodb'

/** The driver takes the session that was used last, so a process needs no more than it has transactions at once. */
const most = 200

const used = new WeakMap<MongoClient, Map<string, Binary>>()
const tellers = new WeakMap<MongoClient, (id: Binary) => Promise<void>>()

/** Who is told of a session before its first transaction begins. */
export const tellOfSessions = (client: MongoClient, tell: (id: Binary) => Promise<void>): void =>
  void tellers.set(client, tell)

/**
 * Notes the session of a transaction, so that others can end the transaction when this process dies in the middle of it. A
 * session that is new is told of first: it resolves when others can know it.
 */
export async function noteSession(client: MongoClient, session: ClientSession): Promise<void> {
  const id = session.id?.id
  if (!id) return
  const known = used.get(client) ?? new Map<string, Binary>()
  used.set(client, known)
  const key = id.toString('hex')
  const isNew = !known.delete(key)
  known.set(key, id)
  for (const oldest of known.keys()) {
    if (known.size <= most) break
    known.delete(oldest)
  }
  if (isNew) await tellers.get(client)?.(id)
}

/** Ids of the sessions in which this process had transactions, the newest last. */
export const usedSessions = (client: MongoClient): Binary[] => [...(used.get(client)?.values() ?? [])]
