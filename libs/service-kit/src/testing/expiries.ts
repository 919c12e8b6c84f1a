import type { Db } from 'mongodb'

/**
 * When documents of a service are removed by the database: `<collection> <field> + <seconds>`, sorted. What is kept for a time
 * and stands in no such index is kept for ever.
 */
export async function expiriesIn(db: Db): Promise<string[]> {
  const collections = await db.listCollections({}, { nameOnly: true }).toArray()
  const all = await Promise.all(
    collections.map(async ({ name }) =>
      (await db.collection(name).indexes()).flatMap(({ key, expireAfterSeconds: seconds }) =>
        seconds === undefined ? [] : [`${name} ${Object.keys(key).join()} + ${seconds}`],
      ),
    ),
  )
  return all.flat().sort()
}
