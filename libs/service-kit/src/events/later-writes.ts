import {
  type AnyBulkWriteOperation,
  type AnyClientBulkWriteModel,
  type ClientSession,
  type Collection,
  type Document,
  MongoBulkWriteError,
  type MongoClient,
  MongoClientBulkWriteError,
  MongoInvalidArgumentError,
  MongoServerError,
} from 'mongodb'
import { areManyInsertions, inCommands, type LaterWrite, labelsOfWrite } from '../stand-in.ts'

/** MongoDB's code of a unique key that is taken. */
const duplicateKey = 11000

/** Writes to any collections that go to the server together, in their order. */
export class LaterWrites {
  #writes: LaterWrite[] = []

  get isEmpty(): boolean {
    return !this.#writes.length
  }

  /** `ifTaken` makes the error of a write whose unique key is taken. */
  add<T extends Document>(
    collection: Collection<T>,
    write: AnyBulkWriteOperation<T>,
    ifTaken?: (cause: unknown) => Error,
  ): void {
    // The driver has two forms of the same operations.
    for (const [name, operation] of Object.entries(write)) {
      const model = { namespace: collection.namespace, name, ...operation } as AnyClientBulkWriteModel<Document>
      this.#writes.push({ collection: collection as unknown as Collection, model, ifTaken })
    }
  }

  /** Nothing is left to be sent after it. Rejects with what a single write would reject with. */
  async send(client: MongoClient, session: ClientSession): Promise<void> {
    const writes = this.#writes
    this.#writes = []
    for (const part of await inCommands(client, writes)) await sendPart(client, session, part)
  }
}

async function sendPart(client: MongoClient, session: ClientSession, part: readonly LaterWrite[]): Promise<void> {
  try {
    if (areManyInsertions(part))
      await part[0]!.collection.insertMany(
        part.map(({ model }) => model.document),
        { session },
      )
    else
      await client.bulkWrite(
        part.map(({ model }) => model),
        { session },
      )
  } catch (error) {
    throw plainError(error, part)
  }
}

/** Transactions are tried again by the labels of the server's error, which the driver has wrapped. */
function plainError(error: unknown, part: readonly LaterWrite[]): unknown {
  // Of a document that can't be written as BSON.
  if (error instanceof MongoInvalidArgumentError && error.cause) return error.cause
  if (error instanceof MongoBulkWriteError) return named(error, part[[error.writeErrors].flat()[0]?.index ?? -1])
  if (!(error instanceof MongoClientBulkWriteError)) return error
  if (error.cause instanceof MongoServerError) return error.cause
  const [[index, failed] = []] = error.writeErrors
  if (index === undefined || !failed) return error
  const plain = new MongoServerError({ ...failed, errorLabels: labelsOfWrite(failed.code), cause: error })
  return named(plain, part[index])
}

/** The error of a write whose unique key is taken. */
function named(error: MongoServerError, write: LaterWrite | undefined): Error {
  return error.code === duplicateKey && write?.ifTaken ? write.ifTaken(error) : error
}
