import { type Collection, type Db, type Document, type IndexDescription, MongoClient, MongoServerError } from 'mongodb'
import { within } from './within.ts'

export interface MongoConnection {
  client: MongoClient
  db: Db
  ping(): Promise<void>
  close(): Promise<void>
}

/**
 * Connects and selects the service's own database (`<namespace>_<service>`). Writes are acknowledged by a majority with
 * the journal: what a caller is told is stored survives any single failure.
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
    // A server that took a command and never answers it counts as gone: whoever waits tries again or says so.
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

/** Creates collections that are missing. Two transactions that would each create one conflict with each other. */
export async function ensureCollections(db: Db, names: readonly string[]): Promise<void> {
  const known = new Set((await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name))
  for (const name of names) if (!known.has(name)) await db.createCollection(name).catch(ignoreExisting)
}

/** Another replica was faster. */
function ignoreExisting(error: unknown): void {
  if (!(error instanceof MongoServerError && error.codeName === 'NamespaceExists')) throw error
}

/** Creates the indexes a repository needs. Creating one that exists changes nothing; a changed definition is an error that names it. */
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
