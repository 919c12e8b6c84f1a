import { setTimeout as delay } from 'node:timers/promises'
import type { Collection, Db } from 'mongodb'
import type { Logger } from './logs.ts'
import { isDuplicateKey } from './mongo.ts'
import type { Replicas } from './replicas.ts'

interface LeaseDocument {
  _id: string
  owner: string
}

/** Pause (ms) between the end of the work, even by an error, and its next start. */
const restAfterWork = 200

/**
 * Runs `work` in one replica of a service at a time. Another takes over when that one ends, dies or loses touch with the
 * database; its signal aborts a little before. A process that was suspended sees the signal late, so work that must not be
 * done twice also needs a check where it writes.
 */
export function holdLease(
  runtime: { db: Db; replicas: Replicas; log: Logger },
  {
    name,
    work,
    isAble = () => true,
  }: {
    name: string
    work: (signal: AbortSignal) => Promise<void>
    /** A replica that can't do the work now leaves it to another. */
    isAble?: () => boolean
  },
): { close(): Promise<void>; readonly held: boolean } {
  const { replicas, log } = runtime
  const leases: Collection<LeaseDocument> = runtime.db.collection('leases')
  const closing = new AbortController()
  let holding: AbortController | undefined

  async function acquire(): Promise<boolean> {
    const lease = await leases.findOne({ _id: name })
    if (!replicas.isAlive || !isAble()) return false
    if (!lease) return await insert()
    if (lease.owner === replicas.id) return true
    if (!(await replicas.isGone(lease.owner))) return false
    const taken = await leases.updateOne({ _id: name, owner: lease.owner }, { $set: { owner: replicas.id } })
    return taken.matchedCount > 0
  }

  async function insert(): Promise<boolean> {
    try {
      await leases.insertOne({ _id: name, owner: replicas.id })
      return true
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
  }

  async function hold(): Promise<void> {
    const lost = new AbortController()
    const stop = () => lost.abort()
    closing.signal.addEventListener('abort', stop, { once: true })
    const watching = replicas.watch(() => replicas.isAlive || stop())
    holding = lost
    try {
      if (closing.signal.aborted || !replicas.isAlive) stop()
      else await work(lost.signal)
    } catch (error) {
      if (!lost.signal.aborted)
        log.error({ err: error, lease: name }, 'work of one replica at a time failed; trying again')
    }
    holding = undefined
    stop()
    watching.close()
    closing.signal.removeEventListener('abort', stop)
    await leases.deleteOne({ _id: name, owner: replicas.id }).catch(() => {})
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const beat = nextBeat()
      const won = await acquire().catch((error) => {
        log.debug({ err: error, lease: name }, 'a lease could not be asked for')
        return false
      })
      if (!won) {
        await beat
        continue
      }
      await hold()
      await delay(restAfterWork, undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  function nextBeat(): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        watching.close()
        closing.signal.removeEventListener('abort', end)
        resolve()
      }
      const watching = replicas.watch(end)
      closing.signal.addEventListener('abort', end, { once: true })
    })
  }

  const running = run()
  return {
    get held() {
      return holding !== undefined && !holding.signal.aborted && replicas.isAlive
    },
    async close() {
      closing.abort()
      await running
    },
  }
}
