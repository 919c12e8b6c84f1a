import type { Logger } from '@im/service-kit'
import type { FastifyRequest } from 'fastify'
import type { IncomingCall } from './calls/incoming-call.ts'
import { clientAddress } from './client-address.ts'

/** Characters of an unknown path that are logged. */
const longestPath = 200

/** Logs one line for each call, for reports of abuse: who called what, from where, and with which outcome. */
export class CallLog {
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  write({ request, endpoint, ip, caller, startedAt }: IncomingCall, outcome: string): void {
    if (!this.#log.isLevelEnabled('info')) return
    const ms = Math.round((performance.now() - startedAt) * 10) / 10
    this.#log.info({ requestId: request.id, path: endpoint.path, outcome, userId: caller?.userId, ip, ms }, 'call')
  }

  /** A path that no endpoint has. Its query is left out, because it may hold a token. */
  writeUnknown(request: FastifyRequest): void {
    const path = request.raw.url?.split('?', 1)[0]?.slice(0, longestPath)
    this.#log.info({ requestId: request.id, path, outcome: 'UnknownEndpoint', ip: clientAddress(request) }, 'call')
  }

  async close(): Promise<void> {
    this.#log.flush()
  }
}
