import { BSON, type Db } from 'mongodb'

/** Collections that number and carry events, how far they were read, and who was deleted a short while ago. */
const notLooked = new Set(['outbox', 'sequences', 'handled_sequences', 'event_shards', 'catch_ups', 'erased_users'])

/** Names of the collections in which a user still stands, in whatever field, sorted: for tests of deletion. */
export async function collectionsWith(db: Db, userId: number): Promise<string[]> {
  const id = new RegExp(`(?<!\\d)${userId}(?!\\d)`)
  const collections = await db.listCollections({}, { nameOnly: true }).toArray()
  const found = await Promise.all(
    collections.map(async ({ name }) => {
      const documents = notLooked.has(name) ? [] : await db.collection(name).find().toArray()
      return documents.some((document) => id.test(BSON.EJSON.stringify(document))) ? [name] : []
    }),
  )
  return found.flat().sort()
}
