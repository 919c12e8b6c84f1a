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
 * ends, dies or loses Redis for `ttl` ms. `work` gets a signal that aborts when the lease is lost: it must stop then.
 * The lease keeps double work rare, it does not fence: the work itself must be idempotent.
 */
export function holdLease(options: {
  redis: Redis
  name: string
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

  async function keep(lost: AbortController): Promise<void> {
    let renewedAt = Date.now()
    while (!lost.signal.aborted) {
      await delay(ttl / 3, undefined, { signal: lost.signal }).catch(() => {})
      if (lost.signal.aborted) return
      try {
        if ((await redis.eval(renewScript, 1, key, owner, ttl)) !== 1) {
          // An expired key (cache restart) may be taken again by its last holder; another owner may not be displaced.
          if ((await redis.set(key, owner, 'PX', ttl, 'NX')) !== 'OK') return lost.abort()
        }
        renewedAt = Date.now()
      } catch {
        if (Date.now() - renewedAt >= ttl) return lost.abort()
      }
    }
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const won = await redis.set(key, owner, 'PX', ttl, 'NX').catch(() => null)
      if (won === 'OK') {
        const lost = new AbortController()
        const stop = () => lost.abort()
        closing.signal.addEventListener('abort', stop, { once: true })
        const keeping = keep(lost)
        held = true
        try {
          await work(lost.signal)
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
