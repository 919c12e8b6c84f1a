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
  readonly #models: AnyClientBulkWriteModel<Document>[] = []
  readonly #ifTaken = new Map<number, (cause: unknown) => Error>()

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

  /** Rejects with what a single write would reject with. */
  async send(client: MongoClient, session: ClientSession): Promise<void> {
    try {
      await client.bulkWrite(this.#models, { session })
    } catch (error) {
      throw this.#plain(error)
    }
  }

  /** Transactions are tried again by the labels of the server's error, which the driver has wrapped. */
  #plain(error: unknown): unknown {
    if (!(error instanceof MongoClientBulkWriteError)) return error
    if (error.cause instanceof MongoServerError) return error.cause
    const [[index, failed] = []] = error.writeErrors
    if (index === undefined || !failed) return error
    const plain = new MongoServerError({ ...failed, errorLabels: labelsOfWrite(failed.code), cause: error })
    const ifTaken = failed.code === duplicateKey ? this.#ifTaken.get(index) : undefined
    return ifTaken ? ifTaken(plain) : plain
  }
}
