import type { Binary, ClientSession, MongoClient } from 'mongodb'

/** The driver takes the session that was used last, so a process needs no more than it has transactions at once. */
const most = 200

const used = new WeakMap<MongoClient, Map<string, Binary>>()

/** Notes the session of a transaction, so that others can end the transaction when this process dies in the middle of it. */
export function noteSession(client: MongoClient, session: ClientSession): void {
  const id = session.id?.id
  if (!id) return
  const known = used.get(client) ?? new Map<string, Binary>()
  used.set(client, known)
  const key = id.toString('hex')
  known.delete(key)
  known.set(key, id)
  for (const oldest of known.keys()) {
    if (known.size <= most) break
    known.delete(oldest)
  }
}

/** Ids of the sessions in which this process had transactions, the newest last. */
export const usedSessions = (client: MongoClient): Binary[] => [...(used.get(client)?.values() ?? [])]
