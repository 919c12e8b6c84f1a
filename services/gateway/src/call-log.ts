import type { Logger } from '@im/service-kit'
import type { IncomingCall } from './calls/incoming-call.ts'

/** Logs one line for each call, for reports of abuse: who called what, from where, and with which outcome. */
export class CallLog {
  readonly #log: Logger

  constructor(log: Logger) {
    // These fields hold no secrets, and looking for some in each line would cost more than the call itself.
    this.#log = log.child({}, { redact: [] })
  }

  write({ request, endpoint, ip, caller, startedAt }: IncomingCall, outcome: string): void {
    if (!this.#log.isLevelEnabled('info')) return
    const ms = Math.round((performance.now() - startedAt) * 10) / 10
    this.#log.info({ requestId: request.id, path: endpoint.path, outcome, userId: caller?.userId, ip, ms }, 'call')
  }
}
