import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { OptionalRedis } from '@im/service-kit'
import type { Outcome } from './provider.ts'

/** What a provider's token endpoint gave. */
export interface Access {
  token: string
  /** How long it is good (ms). */
  lifeMs: number
}

interface Cached {
  token: string
  /** When it is renewed (ms). */
  until: number
}

/** How long (ms) one replica may take to renew before another one tries. */
const renewalMs = 6000
const lookAgainMs = 50

const releaseScript = `
if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end`

/**
 * An access token of a provider: renewed before it ends, by one call at a time, and shared with the other replicas through
 * Redis, because the vendors limit how often one is asked for. Without Redis each replica has its own.
 */
export class AccessToken {
  readonly #redis: OptionalRedis
  readonly #key: string
  readonly #renew: () => Promise<Access>
  readonly #now: () => number
  #cached: Cached | undefined
  #running: Promise<Cached> | undefined

  /** `credential` decides who shares: those with the same one. It is hashed. `renew` throws a Refusal. */
  constructor(options: {
    redis: OptionalRedis
    provider: string
    credential: string
    renew: () => Promise<Access>
    now: () => number
  }) {
    this.#redis = options.redis
    const hash = createHash('sha256').update(options.credential).digest('base64url').slice(0, 22)
    this.#key = `push:access:${options.provider}:${hash}`
    this.#renew = options.renew
    this.#now = options.now
  }

  async get(): Promise<string> {
    if (this.#cached && this.#cached.until > this.#now()) return this.#cached.token
    this.#running ??= this.#find().finally(() => {
      this.#running = undefined
    })
    this.#cached = await this.#running
    return this.#cached.token
  }

  /** The provider refused the token, so the next call renews it; unless another one has already. */
  async forget(token: string): Promise<void> {
    if (this.#cached?.token !== token) return
    const text = JSON.stringify(this.#cached)
    this.#cached = undefined
    await this.#redis.ask((redis) => redis.eval(releaseScript, 1, this.#key, text))
  }

  async #find(): Promise<Cached> {
    const lock = `${this.#key}:renewal`
    const owner = randomUUID()
    for (const end = this.#now() + renewalMs; this.#now() < end; await delay(lookAgainMs)) {
      const shared = await this.#shared()
      if (shared) return shared
      const won = await this.#redis.ask((redis) => redis.set(lock, owner, 'PX', renewalMs, 'NX'))
      if (won === undefined) break
      if (won !== 'OK') continue
      try {
        // Another replica may have renewed it between the look and the lock.
        return (await this.#shared()) ?? (await this.#renewed())
      } finally {
        await this.#redis.ask((redis) => redis.eval(releaseScript, 1, lock, owner))
      }
    }
    return await this.#renewed()
  }

  async #shared(): Promise<Cached | undefined> {
    const text = await this.#redis.ask((redis) => redis.get(this.#key))
    const shared = text ? (JSON.parse(text) as Cached) : undefined
    return shared && shared.until > this.#now() ? shared : undefined
  }

  async #renewed(): Promise<Cached> {
    const { token, lifeMs } = await this.#renew()
    const goodMs = Math.max(1000, Math.min(lifeMs - 60_000, lifeMs * 0.9))
    const cached = { token, until: this.#now() + goodMs }
    await this.#redis.ask((redis) => redis.set(this.#key, JSON.stringify(cached), 'PX', Math.ceil(goodMs)))
    return cached
  }
}

/** Runs a call with the access token, and once more with a new one where the provider refuses it. */
export async function withAccess(access: AccessToken, call: (token: string) => Promise<Outcome[]>): Promise<Outcome[]> {
  const token = await access.get()
  const outcomes = await call(token)
  if (!outcomes.some((one) => one.kind === 'credentials' && one.isStaleAccess)) return outcomes
  await access.forget(token)
  return await call(await access.get())
}
