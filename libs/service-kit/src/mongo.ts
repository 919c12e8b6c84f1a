import { type Collection, type Db, type Document, type IndexDescription, MongoClient, MongoServerError } from 'mongodb'
import { within } from './within.ts'

export interface MongoConnection {
  client: MongoClient
  db: Db
  ping(): Promise<void>
  close(): Promise<void>
}

/**
 * Connects and selects the service's own database (`<namespace>_<service>`). A write is acknowledged when a majority has it in
 * its journal, so it survives any single failure.
 */
export async function connectMongo(options: {
  url: string
  namespace: string
  service: string
}): Promise<MongoConnection> {
  const client = new MongoClient(options.url, {
    appName: `im-${options.service}`,
    ignoreUndefined: true,
    serverSelectionTimeoutMS: 5000,
    // A server that does not answer a command for this long counts as gone.
    socketTimeoutMS: 60_000,
    writeConcern: { w: 'majority', journal: true },
    readConcern: { level: 'majority' },
    maxPoolSize: 50,
  })
  await client.connect().catch(async (error) => {
    await client.close()
    throw error
  })
  const db = client.db(`${options.namespace}_${options.service}`)
  return {
    client,
    db,
    ping: async () => {
      await within(2000, 'MongoDB', db.command({ ping: 1 }))
    },
    close: () => client.close(),
  }
}

/** Creates missing collections, because transactions that create the same one conflict with each other. */
export async function ensureCollections(db: Db, names: readonly string[]): Promise<void> {
  const known = new Set((await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name))
  for (const name of names) if (!known.has(name)) await db.createCollection(name).catch(ignoreExisting)
}

/** Another replica may have created the collection first. */
function ignoreExisting(error: unknown): void {
  if (!(error instanceof MongoServerError && error.codeName === 'NamespaceExists')) throw error
}

/** Creates the indexes of a repository. One that exists already stays; one with another definition is an error that names it. */
export async function ensureIndexes<T extends Document>(
  collection: Collection<T>,
  indexes: readonly IndexDescription[],
): Promise<void> {
  if (indexes.length) await collection.createIndexes([...indexes])
}

/** True for a unique-index violation, of the index on `field` when one is named. */
export function isDuplicateKey(error: unknown, field?: string): boolean {
  const { code, keyPattern, message } = error as { code?: number; keyPattern?: Document; message?: string }
  if (code !== 11000) return false
  if (!field) return true
  return keyPattern ? field in keyPattern : (message ?? '').includes(field)
}
