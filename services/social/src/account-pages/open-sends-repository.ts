import { createHash } from 'node:crypto'
import { ensureIndexes, isDuplicateKey } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** Something that was to be sent, and of which it is not known yet that it was. */
interface OpenSend {
  /** SHA-256 of what is sent by whom to whom. */
  _id: string
  /** The id it has at the service that sends it: there the same id is sent once. */
  sendId: string
  expireAt: Date
}

/** How long (ms) the same counts as sent once more, when nobody heard that it was sent. */
const openFor = 600_000

/**
 * Gives what is sent its id, and the same id to the same thing as long as its sending has not been confirmed: who hears nothing,
 * or that it failed, presses again, and the first one may have been sent.
 */
export class OpenSendsRepository {
  readonly #sends: Collection<OpenSend>
  readonly #now: () => number

  constructor(db: Db, now: () => number) {
    this.#sends = db.collection('open_sends')
    this.#now = now
  }

  createIndexes = () => ensureIndexes(this.#sends, [{ key: { expireAt: 1 }, expireAfterSeconds: 0 }])

  /** `what`: all that makes it the same. `send` resolves when it is sent. */
  async once<T>(what: readonly (string | number)[], newId: () => string, send: (id: string) => Promise<T>): Promise<T> {
    const _id = createHash('sha256').update(JSON.stringify(what)).digest('hex')
    const sendId = await this.#begin(_id, newId())
    const result = await send(sendId)
    await this.#sends.deleteOne({ _id, sendId })
    return result
  }

  /** The id of what is open under this key, or of what is open from now on. */
  async #begin(_id: string, sendId: string): Promise<string> {
    try {
      await this.#sends.insertOne({ _id, sendId, expireAt: new Date(this.#now() + openFor) })
      return sendId
    } catch (error) {
      if (!isDuplicateKey(error)) throw error
      return (await this.#sends.findOne({ _id }))?.sendId ?? sendId
    }
  }
}
