import { Agent, request } from 'undici'
import { serviceUrl } from './config.ts'
import type { Deps } from './deps.ts'
import { outerServices } from './outer-endpoints.ts'

const answerWithinMs = 2000

/**
 * Asks Redis, NATS and every service whether they are ready. It has its own connections, so that a busy service does not look
 * like one that is down.
 */
export class Readiness {
  readonly #deps: Pick<Deps, 'config' | 'redis' | 'bus'>
  readonly #agent = new Agent({
    connections: 1,
    connect: { timeout: answerWithinMs },
    headersTimeout: answerWithinMs,
    bodyTimeout: answerWithinMs,
  })

  constructor(deps: Pick<Deps, 'config' | 'redis' | 'bus'>) {
    this.#deps = deps
  }

  /** Rejects with the reason of the first one that is not ready. */
  async check(): Promise<void> {
    const { config, redis, bus } = this.#deps
    const services = outerServices.map((name) => this.#checkService(name, serviceUrl(config, name)))
    await Promise.all([redis.ping(), bus.ping(), ...services])
  }

  async #checkService(name: string, url: string): Promise<void> {
    const { statusCode, body } = await request(`${new URL(url).origin}/readyz`, { dispatcher: this.#agent })
    await body.dump()
    if (statusCode !== 200) throw new Error(`${name} is not ready`)
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }
}
