import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from './logs.ts'
import type { Redis } from './redis.ts'

const renewScript =
  "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end"
const releaseScript =
  "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"

/**
 * Runs `work` in at most one replica at a time. Whoever holds the key runs; the others wait and take over when the holder
 * ends, dies or loses Redis. `work` gets a signal that aborts when the lease is lost, a little before another replica can
 * take it: it must stop then. A holder that hangs does not notice; the lease keeps double work rare, it does not fence: the
 * work itself must be idempotent.
 */
export function holdLease(options: {
  redis: Redis
  name: string
  /** Milliseconds after which the lease of a dead holder is free. */
  ttl?: number
  log: Logger
  work: (signal: AbortSignal) => Promise<void>
}): { close(): Promise<void>; readonly held: boolean } {
  const { redis, log, work } = options
  const ttl = options.ttl ?? 5000
  const key = `lease:${options.name}`
  const owner = randomBytes(12).toString('hex')
  const closing = new AbortController()
  let held = false

  /** True when the key is ours for another `ttl`. */
  async function renew(): Promise<boolean> {
    if ((await redis.eval(renewScript, 1, key, owner, ttl)) === 1) return true
    // An expired key (cache restart) may be taken again by its last holder; another owner may not be displaced.
    return (await redis.set(key, owner, 'PX', ttl, 'NX')) === 'OK'
  }

  async function keep(lost: AbortController, wonAt: number): Promise<void> {
    const stop = () => lost.abort()
    let deadline = setTimeout(stop, wonAt + ttl * 0.9 - Date.now())
    while (!lost.signal.aborted) {
      await delay(ttl / 4, undefined, { signal: lost.signal }).catch(() => {})
      if (lost.signal.aborted) break
      // The key lives from when Redis got the command, so the deadline counts from before it was sent.
      const sentAt = Date.now()
      const renewed = await renew().catch(() => undefined)
      if (renewed === false) stop()
      if (!renewed || lost.signal.aborted) continue
      clearTimeout(deadline)
      deadline = setTimeout(stop, sentAt + ttl * 0.9 - Date.now())
    }
    clearTimeout(deadline)
  }

  async function hold(wonAt: number): Promise<void> {
    const lost = new AbortController()
    const stop = () => lost.abort()
    closing.signal.addEventListener('abort', stop, { once: true })
    if (closing.signal.aborted) stop()
    const keeping = keep(lost, wonAt)
    held = true
    try {
      if (!lost.signal.aborted) await work(lost.signal)
    } catch (error) {
      if (!lost.signal.aborted)
        log.error({ err: error, lease: options.name }, 'work under a lease failed; trying again')
    }
    held = false
    lost.abort()
    closing.signal.removeEventListener('abort', stop)
    await keeping
    await redis.eval(releaseScript, 1, key, owner).catch(() => {})
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const askedAt = Date.now()
      const won = await redis.set(key, owner, 'PX', ttl, 'NX').catch(() => null)
      if (won === 'OK') await hold(askedAt)
      await delay(won === 'OK' ? 200 : ttl / 5, undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    get held() {
      return held
    },
    async close() {
      closing.abort()
      await running
    },
  }
}
