import { type Caller, ContractError, type Endpoint, type LimitKey, type RateLimit } from '@im/contracts'
import { limitAddress } from '../http/limit-address.ts'
import { type Limit, limitError, type RateCounters } from './rate-counters.ts'

/** The call that is counted. */
export interface Counted {
  ip: string
  caller: Caller | undefined
  /** Absent before the parameters are decoded. */
  params?: Readonly<Record<string, unknown>>
}

interface CompiledLimit extends RateLimit {
  name: string
  keys: readonly LimitKey[]
}

const asksForParameter = ({ keys, where }: CompiledLimit) =>
  where !== undefined || keys.some((key) => key.startsWith('param:'))

/**
 * The limits of one endpoint. A call is counted before its handler runs, so that calls sent at the same time do not slip
 * through. The count is given back when the outcome is not one that counts.
 */
export class EndpointLimits {
  readonly #counters: RateCounters
  readonly #endpoint: Endpoint
  readonly #limits: readonly CompiledLimit[]

  constructor(endpoint: Endpoint, counters: RateCounters) {
    this.#counters = counters
    this.#endpoint = endpoint
    this.#limits = (endpoint.limits ?? []).map((limit) => {
      const keys = typeof limit.by === 'string' ? [limit.by] : limit.by
      return {
        ...limit,
        keys,
        name: `${limit.group ?? endpoint.path} ${keys.join('+').replaceAll(':', '=')} ${limit.seconds}s`,
      }
    })
  }

  begin(): LimitedCall {
    return new LimitedCall(this.#counters, this.#endpoint, this.#limits)
  }
}

/** The counts of one call. */
export class LimitedCall {
  readonly #counters: RateCounters
  readonly #endpoint: Endpoint
  readonly #limits: readonly CompiledLimit[]
  readonly #taken: { limit: CompiledLimit; count: Limit }[] = []

  constructor(counters: RateCounters, endpoint: Endpoint, limits: readonly CompiledLimit[]) {
    this.#counters = counters
    this.#endpoint = endpoint
    this.#limits = limits
  }

  /** Counts the call: without `params` in the limits that need none, with `params` in the others. Throws the limit's error. */
  async count(counted: Counted): Promise<void> {
    const due = this.#limits.filter(
      (limit) => asksForParameter(limit) === (counted.params !== undefined) && isCounted(limit, counted),
    )
    const counts = due.flatMap((limit) => {
      const key = countedKey(limit.keys, counted)
      return key === undefined
        ? []
        : [{ limit, count: { key: `${limit.name}:${key}`, max: limit.max, seconds: limit.seconds } }]
    })
    const refusal = await this.#counters.take(...counts.map(({ count }) => count))
    if (!refusal) {
      this.#taken.push(...counts)
      return
    }
    // A refusal is neither a success nor a failure.
    await this.#giveBackAllBut(() => false)
    const full = counts.find(({ count }) => count === refusal.full)
    throw limitError(full?.limit.error ?? 'RateLimited', refusal.waitSeconds)
  }

  /** Gives back the counts that do not apply to the outcome. `error` is undefined for a success. */
  async end(error: unknown): Promise<void> {
    const { errors = [] } = this.#endpoint
    await this.#giveBackAllBut(({ counts, failures = errors }) => {
      if (counts === 'successes') return error === undefined
      return error instanceof ContractError && failures.includes(error.errorName)
    })
  }

  /** Calls that count whatever becomes of them are never given back. */
  async #giveBackAllBut(applies: (limit: CompiledLimit) => boolean): Promise<void> {
    const given = this.#taken.splice(0).filter(({ limit }) => (limit.counts ?? 'calls') !== 'calls' && !applies(limit))
    await this.#counters.giveBack(...given.map(({ count }) => count))
  }
}

function isCounted({ where }: CompiledLimit, { params }: Counted): boolean {
  if (!where) return true
  const value = params?.[where.param]
  return value !== undefined && new RegExp(where.matches).test(String(value))
}

/** Undefined when one of the keys is absent: then nothing is counted. */
function countedKey(keys: readonly LimitKey[], { ip, caller, params }: Counted): string | undefined {
  const parts = keys.map((key) => {
    if (key === 'ip') return `ip=${limitAddress(ip)}`
    if (key === 'user') return caller && `user=${caller.userId}`
    if (key === 'user-or-ip') return caller ? `user=${caller.userId}` : `ip=${limitAddress(ip)}`
    const value = params?.[key.slice('param:'.length)]
    return value === undefined || value === '' ? undefined : JSON.stringify(value)
  })
  return parts.includes(undefined) ? undefined : parts.join(' ')
}
