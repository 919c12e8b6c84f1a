import {
  type Collection,
  type Db,
  type Document,
  type IndexDescription,
  MongoClient,
  type MongoClientOptions,
  MongoError,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
} from 'mongodb'
import { Gauge, type Registry } from './metrics.ts'
import { hostsOf, StartError } from './start-error.ts'
import { within } from './within.ts'

export interface MongoConnection {
  client: MongoClient
  db: Db
  /** Whether so many operations wait for a connection that others had better not begin. */
  isOverloaded(): boolean
  ping(): Promise<void>
  close(): Promise<void>
}

/** Operations at a time; more wait. */
const connections = 50
/** A connection that nobody needed for this long (ms) is closed: the start opens many at once. */
const idleForMs = 10_000
/** Operations that wait for a connection before others are refused. */
const longestQueue = 500
/** How long an operation waits for a connection, or for a primary, before it fails (ms). */
const waitMs = 2500
/** How often the server is asked whether it is alive, and how long it may take to say so (ms). */
const heartbeatMs = 2000
const heartbeatWithinMs = 3000

/**
 * Connects and selects the service's own database (`<namespace>_<service>`). A write is acknowledged when a majority has it in
 * its journal, so it survives any single failure. Throws StartError when the server is away, refuses us, is too old, or has no transactions.
 */
export async function connectMongo(options: {
  url: string
  namespace: string
  service: string
  metrics?: Registry
  /** Emits an event for each command, for tests. */
  monitorCommands?: boolean
}): Promise<MongoConnection> {
  const client = createClient(options.url, {
    appName: `im-${options.service}`,
    ignoreUndefined: true,
    monitorCommands: options.monitorCommands ?? false,
    maxPoolSize: connections,
    maxIdleTimeMS: idleForMs,
    waitQueueTimeoutMS: waitMs,
    serverSelectionTimeoutMS: waitMs,
    // Polling finds a server that hangs; then everything that waits for it fails at once.
    serverMonitoringMode: 'poll',
    heartbeatFrequencyMS: heartbeatMs,
    connectTimeoutMS: heartbeatWithinMs,
    // For a server that answers polls, but never a command: the caller tries again or reports it.
    socketTimeoutMS: 60_000,
    writeConcern: { w: 'majority', journal: true },
    readConcern: { level: 'majority' },
  })
  const waiting = waitingOperations(client)
  if (options.metrics)
    new Gauge({
      name: 'im_mongodb_waiting',
      help: 'Operations that wait for a connection to MongoDB',
      registers: [options.metrics],
      collect() {
        this.set(waiting())
      },
    })
  const db = client.db(`${options.namespace}_${options.service}`)
  try {
    await client.connect()
    await demandAbilities(db)
  } catch (error) {
    await client.close()
    throw explained(error, options.url)
  }
  return {
    client,
    db,
    isOverloaded: () => waiting() >= longestQueue,
    ping: async () => {
      await within(2000, 'MongoDB', db.command({ ping: 1 }))
    },
    close: () => client.close(),
  }
}

function createClient(url: string, options: MongoClientOptions): MongoClient {
  try {
    return new MongoClient(url, options)
  } catch (error) {
    throw new StartError(`MONGODB_URL is no address of MongoDB: ${(error as Error).message}`, { cause: error })
  }
}

/** Of MongoDB 8.0, the first that writes to several collections by one command. */
const oldestWireVersion = 25

async function demandAbilities(db: Db): Promise<void> {
  const { setName, msg, maxWireVersion } = await db.admin().command({ hello: 1 })
  if (maxWireVersion < oldestWireVersion) {
    const { version } = await db.admin().command({ buildInfo: 1 })
    throw new StartError(`MongoDB of MONGODB_URL has version ${version}, and 8.0 or newer is needed`)
  }
  if (!setName && msg !== 'isdbgrid')
    throw new StartError(
      'MongoDB has no transactions here: start mongod with --replSet, call rs.initiate() once, and name the set in MONGODB_URL',
    )
}

const wrongCredentials = 18

/** What an operator can do about it. The address is shown without its password. */
function explained(error: unknown, url: string): unknown {
  const { message, code } = error as { message: string; code?: number }
  const why = { cause: error }
  if (code === wrongCredentials || /Authentication failed/.test(message))
    return new StartError(`MongoDB at ${hostsOf(url)} refuses the user or the password of MONGODB_URL`, why)
  if (error instanceof MongoServerSelectionError || error instanceof MongoNetworkError)
    return new StartError(
      `MongoDB at ${hostsOf(url)} does not answer (${message}): start it, or correct MONGODB_URL`,
      why,
    )
  // A name that DNS does not know, a file of certificates that is not there, a right that the user has not.
  if (error instanceof MongoError || (error as NodeJS.ErrnoException).syscall)
    return new StartError(`MongoDB at ${hostsOf(url)} can't be used (${message}): correct MONGODB_URL`, why)
  return error
}

/** Counts the operations that wait for a connection, by the events of the client's pool. */
function waitingOperations(client: MongoClient): () => number {
  let count = 0
  const ended = () => {
    count--
  }
  client.on('connectionCheckOutStarted', () => {
    count++
  })
  client.on('connectionCheckedOut', ended)
  client.on('connectionCheckOutFailed', ended)
  return () => count
}

/** Creates missing collections, because transactions that create the same one conflict with each other. */
export async function ensureCollections(db: Db, names: readonly string[]): Promise<void> {
  const known = new Set((await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name))
  const missing = names.filter((name) => !known.has(name))
  await Promise.all(missing.map((name) => db.createCollection(name).catch(ignoreExisting)))
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

/**
 * Runs an upsert, and once more when another of the same document came first. MongoDB does so by itself only where the filter
 * says nothing but the fields of a unique index: with any other condition the loser is told of a duplicate key. Not within a
 * transaction.
 */
export async function onceMoreIfTaken<T>(upsert: () => Promise<T>): Promise<T> {
  try {
    return await upsert()
  } catch (error) {
    if (!isDuplicateKey(error)) throw error
    return await upsert()
  }
}
