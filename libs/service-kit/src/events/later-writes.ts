import {
  type AnyBulkWriteOperation,
  type AnyClientBulkWriteModel,
  type ClientSession,
  type Collection,
  type Document,
  type MongoClient,
  MongoClientBulkWriteError,
  MongoServerError,
} from 'mongodb'
import { labelsOfWrite } from '../stand-in.ts'

/** MongoDB's code of a unique key that is taken. */
const duplicateKey = 11000

/** Writes to any collections that go to the server as one command, in their order. */
export class LaterWrites {
  #models: AnyClientBulkWriteModel<Document>[] = []
  #ifTaken = new Map<number, (cause: unknown) => Error>()

  get isEmpty(): boolean {
    return !this.#models.length
  }

  /** `ifTaken` makes the error of a write whose unique key is taken. */
  add<T extends Document>(
    { namespace }: Collection<T>,
    write: AnyBulkWriteOperation<T>,
    ifTaken?: (cause: unknown) => Error,
  ): void {
    if (ifTaken) this.#ifTaken.set(this.#models.length, ifTaken)
    // The driver has two forms of the same operations.
    for (const [name, operation] of Object.entries(write))
      this.#models.push({ namespace, name, ...operation } as AnyClientBulkWriteModel<Document>)
  }

  /** Nothing is left to be sent after it. Rejects with what a single write would reject with. */
  async send(client: MongoClient, session: ClientSession): Promise<void> {
    const [models, ifTaken] = [this.#models, this.#ifTaken]
    this.#models = []
    this.#ifTaken = new Map()
    try {
      await client.bulkWrite(models, { session })
    } catch (error) {
      throw plainError(error, ifTaken)
    }
  }
}

/** Transactions are tried again by the labels of the server's error, which the driver has wrapped. */
function plainError(error: unknown, ifTaken: ReadonlyMap<number, (cause: unknown) => Error>): unknown {
  if (!(error instanceof MongoClientBulkWriteError)) return error
  if (error.cause instanceof MongoServerError) return error.cause
  const [[index, failed] = []] = error.writeErrors
  if (index === undefined || !failed) return error
  const plain = new MongoServerError({ ...failed, errorLabels: labelsOfWrite(failed.code), cause: error })
  const taken = failed.code === duplicateKey ? ifTaken.get(index) : undefined
  return taken ? taken(plain) : plain
}
